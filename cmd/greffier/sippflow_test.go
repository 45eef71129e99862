package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// updateScenarios makes TestSIPpScenarios write the scenarios instead of comparing them.
var updateScenarios = flag.Bool("update-scenarios", false, "write testdata/sipp/flow-*.xml from the flows in flows_test.go")

// soundsDir makes TestSIPpScenarios write the sounds, for who runs a scenario by hand.
var soundsDir = flag.String("sounds", "", "write the sounds of testdata/sipp/flow-*.xml into this directory")

// sippDir holds the scenarios.
const sippDir = "../../testdata/sipp"

func (f flow) scenarioFile() string { return filepath.Join(sippDir, "flow-"+f.name+".xml") }

// TestSIPpScenarios: the scenarios in testdata, which people run by hand too, are those of the flows.
func TestSIPpScenarios(t *testing.T) {
	if *soundsDir != "" {
		if err := sounds(*soundsDir, slices.Concat(flows, failover, []flow{persistent, glare})); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range slices.Concat(flows, failover, []flow{persistent}) {
		want := f.scenario()
		if *updateScenarios {
			if err := os.WriteFile(f.scenarioFile(), []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := readFile(t, f.scenarioFile()); got != want {
			t.Errorf("%s is not what the flow says; run go test ./cmd/greffier -run TestSIPpScenarios -update-scenarios", f.scenarioFile())
		}
	}
}

// A scenarioWriter writes a scenario for SIPp.
type scenarioWriter struct {
	bytes.Buffer
	cseq    int
	both    bool // both ports are known
	dialog  bool // the INVITE was answered
	version int  // of the session description
}

// scenario writes the flow for SIPp. How one process feeds two audio streams: see src-basic.xml. Here an UPDATE after the first
// INVITE brings the second port.
func (f flow) scenario() string {
	w := &scenarioWriter{}
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE scenario SYSTEM "sipp.dtd">
<!--
  %s.

    sipp HOST:PORT -sf flow-%s.xml -m 1 -i LOCAL-ADDRESS -cid_str NAME -aa

  In the working directory: HZ.ulaw (raw G.711 mu-law) and HZ.pcap (a capture of RTP with PCMU) for each tone. src-basic.xml says how
  one process sends two streams. Written by: go test ./cmd/greffier -run TestSIPpScenarios -update-scenarios
-->
<scenario name="%s">
`, strings.ToUpper(f.about[:1])+f.about[1:], f.name, f.name)
	for _, s := range f.steps {
		if s.hush {
			w.listen(tones{}, hushTime)
		}
		switch s.how {
		case vanish:
		case bye:
			w.request("BYE", s)
			w.answer("BYE", s)
		case update:
			w.request("UPDATE", s)
			w.answer("UPDATE", s)
		default:
			w.request("INVITE", s)
			w.answer("INVITE", s)
			if s.how == invite && s.status == 0 {
				w.dialog = true
				w.secondPort(s)
			}
		}
		if s.how != bye && s.how != vanish && s.status == 0 {
			w.listen(s.tones, s.wait)
		}
	}
	used := "ports,first,second"
	if slices.ContainsFunc(f.steps, func(s step) bool { return s.answer != "" }) {
		used += ",checked"
	}
	fmt.Fprintf(w, "\n  <Reference variables=\"%s\"/>\n\n</scenario>\n", used)
	return w.String()
}

// secondPort lets SIPp find the port for its second stream.
func (w *scenarioWriter) secondPort(s step) {
	w.both = true
	again := step{how: update, lines: s.lines}
	w.request("UPDATE", again)
	w.answer("UPDATE", again)
}

// listen plays tones for a time.
func (w *scenarioWriter) listen(t tones, d time.Duration) {
	w.WriteString("\n  <nop>\n    <action>\n")
	if t[0] == 0 {
		w.WriteString("      <exec rtp_stream=\"pause\"/>\n")
	} else {
		fmt.Fprintf(w, "      <exec rtp_stream=\"resume\"/>\n      <exec rtp_stream=\"%d.ulaw,-1,0\"/>\n", t[0])
	}
	if t[1] == 0 {
		w.WriteString("      <exec play_pcap_video=\"quiet.pcap\"/>\n")
	} else {
		fmt.Fprintf(w, "      <exec play_pcap_video=\"%d.pcap\"/>\n", t[1])
	}
	fmt.Fprintf(w, "    </action>\n  </nop>\n\n  <pause milliseconds=\"%d\"/>\n", d.Milliseconds())
}

// request writes a request.
func (w *scenarioWriter) request(method string, s step) {
	w.cseq++
	w.WriteString("\n  <send retrans=\"500\">\n    <![CDATA[\n")
	uri := "[next_url]"
	if !w.dialog {
		uri = "sip:srs@[remote_ip]:[remote_port]"
	}
	w.line("%s %s SIP/2.0", method, uri)
	w.common(method, w.cseq)
	if method != "BYE" {
		w.line("Contact: <sip:src@[local_ip]:[local_port];transport=[transport]>;+sip.src")
	}
	if !w.dialog {
		w.line("Require: siprec")
		w.line("Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO")
		w.line("Accept: application/sdp, application/rs-metadata, application/rs-metadata-request")
	}
	if w.both && s.lines != nil {
		w.line("Subject: streams to [$first] and [$second], video port [media_port+2]") // it is played from the port in this line
	}
	for _, h := range s.headers {
		w.line("%s: %s", h.Name, h.Value)
	}
	w.body(s)
	w.WriteString("    ]]>\n  </send>\n")
}

// common writes the header fields that every request has.
func (w *scenarioWriter) common(method string, cseq int) {
	w.line("Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]")
	w.line("Max-Forwards: 70")
	name, tag := "", ""
	if w.dialog {
		w.line("[routes]")
		tag = "[peer_tag_param]"
	}
	if w.both {
		name = `"m=video [$second] is the second stream" `
	}
	w.line("From: %s<sip:src@[local_ip]:[local_port]>;tag=[pid]src[call_number]", name)
	w.line("To: <sip:srs@[remote_ip]:[remote_port]>%s", tag)
	w.line("Call-ID: [call_id]")
	w.line("CSeq: %d %s", cseq, method)
}

func (w *scenarioWriter) line(format string, args ...any) {
	fmt.Fprintf(w, "      "+format+"\n", args...)
}

// body writes what the step brings, and the length.
func (w *scenarioWriter) body(s step) {
	switch {
	case s.lines != nil && s.doc != nil:
		w.line("Content-Type: multipart/mixed;boundary=flow")
		w.line("Content-Length: [len]\n\n      --flow\n      Content-Type: application/sdp\n")
		w.description(s)
		w.line("\n      --flow\n      Content-Type: application/rs-metadata+xml\n      Content-Disposition: recording-session\n")
		w.document(s.doc)
		w.line("--flow--")
	case s.lines != nil:
		w.line("Content-Type: application/sdp\n      Content-Length: [len]\n")
		w.description(s)
	case s.doc != nil:
		w.line("Content-Type: application/rs-metadata+xml\n      Content-Disposition: recording-session\n      Content-Length: [len]\n")
		w.document(s.doc)
	default:
		w.line("Content-Length: 0\n")
	}
}

func (w *scenarioWriter) description(s step) {
	w.version++
	w.line("v=0")
	w.line("o=sipp 4711 %d IN IP[local_ip_type] [local_ip]", w.version)
	addr := "IP[media_ip_type] [media_ip]"
	if s.zero {
		addr = "IP4 0.0.0.0"
	}
	w.line("s=-\n      c=IN %s\n      t=0 0", addr)
	for i, d := range s.lines {
		port := ""
		if i > 0 {
			port = fmt.Sprintf("+%d", 2*i)
		}
		w.line("m=audio [media_port%s] RTP/AVP 0\n      a=rtpmap:0 PCMU/8000\n      a=label:%d\n      a=%s", port, i+1, d)
	}
}

func (w *scenarioWriter) document(m *siprectest.Metadata) {
	for _, line := range strings.Split(strings.TrimSpace(strings.ReplaceAll(string(m.Marshal()), "\r", "")), "\n") {
		w.line("%s", line)
	}
}

// answer expects the final answer, and acknowledges that to an INVITE.
func (w *scenarioWriter) answer(method string, s step) {
	status := 200
	if s.status != 0 {
		status = s.status
	}
	w.WriteString("\n")
	if method == "INVITE" {
		w.WriteString("  <recv response=\"100\" optional=\"true\"/>\n")
	}
	attrs := ""
	if status == 200 && s.how == invite {
		attrs = ` rrs="true"`
	}
	var actions []string
	if status == 200 && s.lines != nil { // neither port may be 0: then there is nothing to send to
		actions = append(actions, `<ereg regexp="m=audio ([1-9][0-9]*) .*m=audio ([1-9][0-9]*) " search_in="body" check_it="true" assign_to="ports,first,second"/>`)
	}
	if name, value, ok := strings.Cut(s.answer, ": "); ok {
		actions = append(actions, fmt.Sprintf(`<ereg regexp="%s" search_in="hdr" header="%s:" check_it="true" assign_to="checked"/>`, value, name))
	}
	if len(actions) == 0 {
		fmt.Fprintf(w, "  <recv response=\"%d\"%s/>\n", status, attrs)
	} else {
		fmt.Fprintf(w, "  <recv response=\"%d\"%s>\n    <action>\n      %s\n    </action>\n  </recv>\n", status, attrs, strings.Join(actions, "\n      "))
	}
	if method != "INVITE" {
		return
	}
	w.dialog = w.dialog || status == 200
	w.WriteString("\n  <send>\n    <![CDATA[\n")
	switch {
	case status != 200 && !w.dialog: // an ACK to a refusal belongs to the INVITE's transaction
		w.line("ACK sip:srs@[remote_ip]:[remote_port] SIP/2.0\n      [last_Via:]\n      Max-Forwards: 70\n      [last_From:]\n      [last_To:]\n      Call-ID: [call_id]\n      CSeq: %d ACK", w.cseq)
	default:
		w.line("ACK [next_url] SIP/2.0")
		w.common("ACK", w.cseq)
	}
	w.line("Content-Length: 0\n")
	w.WriteString("    ]]>\n  </send>\n")
}

// sounds writes the files that scenarios play.
func sounds(dir string, fs []flow) error {
	var errs []error
	write := func(name string, content []byte) {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	capture := func(name string, pcm []int16, ssrc uint32) {
		var b bytes.Buffer
		errs = append(errs, siprectest.WritePCAP(&b, pcm, siprectest.PCAP{SSRC: ssrc}))
		write(name, b.Bytes())
	}
	capture("quiet.pcap", make([]int16, 160), 1)
	for _, f := range fs {
		for _, hz := range f.all() {
			pcm := make([]int16, 8*8000)
			toneBursts(int(hz)).Read(pcm, 0)
			write(fmt.Sprintf("%.0f.ulaw", hz), siprectest.EncodePCMU(nil, pcm))
			capture(fmt.Sprintf("%.0f.pcap", hz), pcm[:3*8000], uint32(hz))
		}
	}
	return errors.Join(errs...)
}

// sipp runs SIPp on a scenario, in a directory with the sounds.
func sipp(ctx context.Context, sounds, server, transport, scenario, callID string) error {
	scenario, err := filepath.Abs(scenario)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(sounds, callID)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(sounds, "*.*"))
	if err != nil {
		return err
	}
	for _, f := range append(files, scenario) { // captures are looked for beside the scenario
		if err := os.Symlink(f, filepath.Join(dir, filepath.Base(f))); err != nil {
			return err
		}
	}
	port, err := unusedPort()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sipp", server, "-sf", filepath.Base(scenario), "-m", "1", "-i", "127.0.0.1", "-p", port, "-t", map[string]string{"udp": "u1", "tcp": "t1"}[transport],
		"-cid_str", callID, "-aa", "-timeout", "70s", "-timeout_error", "-trace_err", "-nostdin")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TERM=dumb")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	logs, _ := filepath.Glob(filepath.Join(dir, "*_errors.log"))
	for _, l := range logs {
		b, _ := os.ReadFile(l)
		out = append(out, b...)
	}
	return fmt.Errorf("sipp: %w\n%s", err, lastLines(string(out), 60))
}

// SIPp's ports are taken from where the system takes none by itself, so that nobody else is given one meanwhile.
const (
	sippPorts     = 10000
	sippPortCount = 10000
)

// unusedPort finds a port for one SIPp. By itself each takes the first that is free, from 5060 on, and answers for the one before it,
// which has died: it would never be missed.
func unusedPort() (string, error) {
	var errs []error
	for range 10 {
		addr := fmt.Sprintf("127.0.0.1:%d", sippPorts+rand.IntN(sippPortCount))
		udp, err := net.ListenPacket("udp", addr)
		if err == nil {
			err = udp.Close()
		}
		tcp, err2 := net.Listen("tcp", addr)
		if err2 == nil {
			err2 = tcp.Close()
		}
		if err == nil && err2 == nil {
			_, port, err := net.SplitHostPort(addr)
			return port, err
		}
		errs = append(errs, err, err2)
	}
	return "", errors.Join(errs...)
}
