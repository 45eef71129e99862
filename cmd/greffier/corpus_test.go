package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// corpus gives the folder of messages that others made, named by GREFFIER_CORPUS. They are not ours to distribute, so where the
// variable is not set and the folder is not beside the checkout, it gives "" and the test has nothing to read.
func corpus(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("GREFFIER_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "corpus")
		if _, err := os.Stat(dir); err != nil {
			t.Logf("no corpus: GREFFIER_CORPUS is not set, and there is no %s", dir)
			return ""
		}
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("GREFFIER_CORPUS: %v", err)
	}
	return dir
}

// startOpen is a server that lets media come from addresses that the offer does not name: the offers of others name theirs.
func startOpen(t *testing.T, dir string) *running {
	t.Helper()
	config := "sip: {sources: [{name: corpus, addresses: [127.0.0.1], any_media_source: true, headers: [Session-ID]}]}\n"
	if err := os.WriteFile(filepath.Join(dir, configName), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, dir, recordAll)
}

// An outsider is an INVITE with a body that others made, and what must be kept of the call.
type outsider struct {
	file     string
	labels   string // by m-line
	people   string // address=label, in the order of the metadata; without a label: sends nothing
	warnings string
	first    siprec.Direction // of the m-lines in the answer; default recvonly
}

var outsiders = []outsider{
	{file: "oracle-acme-2019-offer.body", labels: "16777227 16777228",
		people: "sip:9000@192.168.50.102=16777227 sip:1002@192.168.50.10=16777228", warnings: "time-without-zone"},
	{file: "opensips-connectel-2018-offer1.body", labels: "1 2", people: "sip:0771121212@52.57.92.239= sip:0760516936@sip-cust1.connectel.io=", warnings: "no-senders participant-without-streams"},
	{file: "opensips-connectel-2018-offer2.body", labels: "1 2", people: "sip:0771121212@52.57.92.239= sip:0760516936@sip-cust1.connectel.io=", warnings: "no-senders participant-without-streams"},
	{file: "opensips-connectel-2018-offer3.body", labels: "1 2", people: "sip:0771121212@52.57.92.239= sip:0760516936@sip-cust1.connectel.io=", warnings: "no-senders participant-without-streams"},
	{file: "sems-procomm-2017-offer.body", labels: "a_leg b_leg", people: "sip:016190200@87.252.209.116=a_leg Extension-016190619@speechpath.ie=b_leg"},
	{file: "sonus-ribbon-2018-offer.body", labels: "1 2", people: "2249888500@172.16.198.55=2 2249888012@172.16.195.72=1"},
	{file: "cisco-cube-2017-offer-gtd.body", labels: "1 2", people: "sip:7301@35.162.237.204=1 sip:7300@35.162.237.204=2"},
	{file: "cisco-cube-2021-inactive-offer.body", labels: "1 2", first: siprec.Inactive, people: "sip:0733165805@192.168.40.34= sip:+972546136443@192.168.10.140=", warnings: "participant-without-streams"},
	{file: "broadworks-2026-v4-orig-offer.body", labels: "1 2", people: "sip:user1001@example.test=1 sip:15550001002@192.0.2.10;user=phone=2"},
	{file: "broadworks-2026-v4-term-offer.body", labels: "1 2", people: "sip:user1001@example.test=1 sip:+15550001002@192.0.2.10;user=phone=2"},
	{file: "avaya-sbce-2019-offer.body", labels: "10 20", people: "sip:9878942259@212.188.68.145=10 sip:ASBCE@asbce.com=20", warnings: "time-without-zone"},
	{file: "negative-cisco-plain-sdp.sdp", labels: "1", warnings: "no-metadata"},
	{file: "sdp-freeswitch-answers.split.txt", labels: "m-line 1", warnings: "no-metadata label-missing"}, // no offer; without labels the m-lines are numbered
}

// outsiderTones are what the m-lines of an outsider's call sound like.
var outsiderTones = []int{600, 900}

// TestCorpusCalls: each body of another's client, as it was sent, opens a call that is recorded, over UDP with the line ends of the
// wire and over TCP with bare LF.
func TestCorpusCalls(t *testing.T) {
	t.Parallel()
	folder := corpus(t)
	if folder == "" {
		return
	}
	var files []string
	for _, pattern := range []string{"*.body", "*.sdp", "*.split.txt"} {
		found, err := filepath.Glob(filepath.Join(folder, "vendor", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, f := range files {
		if !slices.ContainsFunc(outsiders, func(o outsider) bool { return o.file == filepath.Base(f) }) {
			t.Errorf("%s is not in the table", f)
		}
	}
	dir := t.TempDir()
	s := startOpen(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), flowPatience)
	defer cancel()
	type run struct {
		outsider
		network string
		body    string
		id      string
		err     error
	}
	var runs []*run
	var wg sync.WaitGroup
	for network, eol := range map[string]string{"udp": "\r\n", "tcp": "\n"} {
		src := s.src(network)
		for _, o := range outsiders {
			body, _, _ := strings.Cut(readFile(t, filepath.Join(folder, "vendor", o.file)), "__split_here__")
			r := &run{outsider: o, network: network, body: strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\n", eol)}
			runs = append(runs, r)
			wg.Go(func() { r.id, r.err = r.call(ctx, src, r.body) })
		}
	}
	wg.Wait()
	for _, r := range runs {
		t.Run(r.file+"/"+r.network, func(t *testing.T) {
			if r.err != nil {
				t.Fatal(r.err)
			}
			r.check(t, dir, r.id, r.body)
		})
	}
	verifyGood(t, dir)
}

var firstBoundary = regexp.MustCompile(`^\s*--(\S+)`)

// contentTypeOf is what the header of a message with the body would say.
func contentTypeOf(body string) string {
	if m := firstBoundary.FindStringSubmatch(body); m != nil {
		return "multipart/mixed;boundary=" + m[1]
	}
	return "application/sdp"
}

// call opens a call with the body, sends on every m-line, and hangs up.
func (o outsider) call(ctx context.Context, src *siprectest.Client, body string) (id string, err error) {
	labels := o.mlines()
	spec := siprectest.CallSpec{Body: siprectest.Body{ContentType: contentTypeOf(body), Raw: []byte(body)}}
	for i, label := range labels {
		spec.Streams = append(spec.Streams, siprectest.StreamSpec{Label: label, Source: toneBursts(outsiderTones[i])})
	}
	call, err := src.Invite(ctx, spec)
	if err != nil {
		return "", err
	}
	defer call.Abandon()
	first := o.first
	if first == "" {
		first = siprec.RecvOnly
	}
	if err := o.answered(call.Answer(), first); err != nil {
		return "", err
	}
	if first == siprec.Inactive { // sound comes with a later re-INVITE, which brings no metadata
		parsed, err := siprec.ParseBody(contentTypeOf(body), []byte(body))
		if err != nil {
			return "", err
		}
		active := strings.ReplaceAll(string(parsed.SDP), "a=inactive", "a=sendonly")
		answer, err := call.ReInvite(ctx, siprectest.Change{RawSDP: []byte(active)})
		if err != nil {
			return "", err
		}
		if err := o.answered(answer, siprec.RecvOnly); err != nil {
			return "", err
		}
	}
	call.StartMedia()
	if err := pass(ctx, phase); err != nil {
		return "", err
	}
	return call.CallID(), call.Bye(ctx, nil)
}

// mlines lists the labels of the streams, of which the answer repeats those that were offered.
func (o outsider) mlines() (out []siprec.Label) {
	for i, l := range strings.Split(o.labels, " ") {
		switch {
		case strings.HasPrefix(o.labels, "m-line") && i > 0:
		case strings.HasPrefix(o.labels, "m-line"):
			out = append(out, "")
		default:
			out = append(out, siprec.Label(l))
		}
	}
	return out
}

// answered expects an answer with the m-lines and labels of the offer.
func (o outsider) answered(a *siprectest.Answer, d siprec.Direction) error {
	labels := o.mlines()
	if len(a.Media) != len(labels) {
		return fmt.Errorf("%d m-lines in the answer, want %d", len(a.Media), len(labels))
	}
	for i, m := range a.Media {
		if m.Label != labels[i] || m.Direction != d || m.Addr.Port() == 0 {
			return fmt.Errorf("m-line %d of the answer is %s with label %q at %s; want %s, %q", i, m.Direction, m.Label, m.Addr, d, labels[i])
		}
	}
	return nil
}

func (o outsider) check(t *testing.T, dir, callID, body string) {
	t.Helper()
	r := finished(t, dir, callID)
	side := sidecarOf(t, dir, r.ID)
	if got := strings.Join(side.Warnings, " "); got != o.warnings {
		t.Errorf("warnings %q, want %q", got, o.warnings)
	}
	var labels []string
	if got := people(side); got != o.people {
		t.Errorf("people %s, want %s", got, o.people)
	}
	channels, rate := play(t, dir, r.ID)
	for i, c := range side.Channels {
		labels = append(labels, string(c.Label))
		kept{}.checkTones(t, i, siprectest.Detect(channels[i], rate, float64(outsiderTones[0]), float64(outsiderTones[1])), outsiderTones[i:i+1])
	}
	if got := strings.Join(labels, " "); got != o.labels {
		t.Errorf("channels %s, want %s", got, o.labels)
	}
	for _, m := range side.Metadata {
		if m.XML == "" || !strings.Contains(body, m.XML) {
			t.Errorf("metadata are not as they came: %s", m.XML)
		}
	}
	if (len(side.Metadata) == 0) != (o.people == "") {
		t.Errorf("%d metadata documents", len(side.Metadata))
	}
	if r.StartedAt.IsZero() || time.Since(r.StartedAt) > time.Hour {
		t.Errorf("started at %s", r.StartedAt)
	}
}

// people writes each participant with the labels of the channels.
func people(side recorder.Sidecar) string {
	var out []string
	for _, p := range side.Participants {
		who := p.AOR + "="
		for _, c := range side.Channels {
			for _, presence := range c.Participants {
				if presence.Participant == p.ID {
					who += string(c.Label)
				}
			}
		}
		out = append(out, who)
	}
	return strings.Join(out, " ")
}
