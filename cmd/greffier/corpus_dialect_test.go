package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// A dialect is a way to write the INVITE that some client has. What is not said is as RFC 7866 has it.
type dialect struct {
	name     string
	contact  string   // HOST stands for our address; default <sip:src@HOST>;+sip.src
	from     string   // header line
	headers  []string // others than Contact, From, To; default: Require and Accept
	boundary string   // default foobar
	ctype    string   // Content-Type of the message; default multipart/mixed with the boundary
	sdp      string   // default: two m-lines, labels 1 and 2
	document string   // default: Alice sends 1, Bob 2
	body     string   // @SDP, @DOC and @B stand for description, document and boundary
	lf       bool     // lines of the body end in LF

	labels   string // default "1 2"
	people   string // default aliceAndBob
	warnings string
	extra    string // something that the kept document must have
}

const aliceAndBob = alice + "=1 " + bob + "=2"

const plainSDP = `v=0
o=src 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 40000 RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=label:1
a=sendonly
m=audio 40002 RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=label:2
a=sendonly
`

const plainDocument = `<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns="urn:ietf:params:xml:ns:recording:1">
  <datamode>complete</datamode>
  <session session_id="ZGlhbGVjdC1zZXNzaW9uMQ=="><sipSessionID>CALL</sipSessionID><start-time>2026-01-02T03:04:05Z</start-time></session>
  <participant participant_id="ZGlhbGVjdC1hbGljZS0wMQ=="><nameID aor="sip:+33140000021@example.org"><name>Alice</name></nameID></participant>
  <participant participant_id="ZGlhbGVjdC1ib2ItMDAwMQ=="><nameID aor="sip:+33140000022@example.org"><name>Bob</name></nameID></participant>
  <stream stream_id="ZGlhbGVjdC1zdHJlYW0tMQ==" session_id="ZGlhbGVjdC1zZXNzaW9uMQ=="><label>1</label></stream>
  <stream stream_id="ZGlhbGVjdC1zdHJlYW0tMg==" session_id="ZGlhbGVjdC1zZXNzaW9uMQ=="><label>2</label></stream>
  <sessionrecordingassoc session_id="ZGlhbGVjdC1zZXNzaW9uMQ=="><associate-time>2026-01-02T03:04:05Z</associate-time></sessionrecordingassoc>
  <participantsessionassoc participant_id="ZGlhbGVjdC1hbGljZS0wMQ==" session_id="ZGlhbGVjdC1zZXNzaW9uMQ=="><associate-time>2026-01-02T03:04:05Z</associate-time></participantsessionassoc>
  <participantsessionassoc participant_id="ZGlhbGVjdC1ib2ItMDAwMQ==" session_id="ZGlhbGVjdC1zZXNzaW9uMQ=="><associate-time>2026-01-02T03:04:05Z</associate-time></participantsessionassoc>
  <participantstreamassoc participant_id="ZGlhbGVjdC1hbGljZS0wMQ=="><send>ZGlhbGVjdC1zdHJlYW0tMQ==</send><recv>ZGlhbGVjdC1zdHJlYW0tMg==</recv></participantstreamassoc>
  <participantstreamassoc participant_id="ZGlhbGVjdC1ib2ItMDAwMQ=="><send>ZGlhbGVjdC1zdHJlYW0tMg==</send><recv>ZGlhbGVjdC1zdHJlYW0tMQ==</recv></participantstreamassoc>
</recording>
`

const plainBody = `--@B
Content-Type: application/sdp

@SDP
--@B
Content-Type: application/rs-metadata+xml
Content-Disposition: recording-session

@DOC
--@B--
`

// dated gives the plain document with another time in place of its own.
func dated(time string) string {
	return strings.ReplaceAll(plainDocument, "2026-01-02T03:04:05Z", time)
}

// extended gives the plain document with something more in the session.
func extended(xml string) string {
	return strings.Replace(plainDocument, "</session>", xml+"</session>", 1)
}

const broadworks = `<?xml version="1.0" encoding="UTF-8"?>
<recording_metadata xmlns="urn:ietf:params:xml:ns:siprec">
  <dataMode>complete</dataMode>
  <group id="urn:uuid:5b6d9a00-0000-4000-8000-000000000001"><session>urn:uuid:5b6d9a00-0000-4000-8000-000000000002</session></group>
  <session id="urn:uuid:5b6d9a00-0000-4000-8000-000000000002" group="urn:uuid:5b6d9a00-0000-4000-8000-000000000001"><start-time>2026-01-02T03:04:05+00:00</start-time></session>
  <participant id="urn:uuid:5b6d9a00-0000-4000-8000-000000000003" session="urn:uuid:5b6d9a00-0000-4000-8000-000000000002">
    <aor>sip:+33140000021@example.org</aor><send><id>urn:uuid:5b6d9a00-0000-4000-8000-000000000005</id></send>
  </participant>
  <participant id="urn:uuid:5b6d9a00-0000-4000-8000-000000000004" session="urn:uuid:5b6d9a00-0000-4000-8000-000000000002">
    <aor>sip:+33140000022@example.org</aor><send><id>urn:uuid:5b6d9a00-0000-4000-8000-000000000006</id></send>
  </participant>
  <stream id="urn:uuid:5b6d9a00-0000-4000-8000-000000000005" session="urn:uuid:5b6d9a00-0000-4000-8000-000000000002"><label>1</label><mode>separate</mode></stream>
  <stream id="urn:uuid:5b6d9a00-0000-4000-8000-000000000006" session="urn:uuid:5b6d9a00-0000-4000-8000-000000000002"><label>2</label><mode>separate</mode></stream>
</recording_metadata>
`

var rfcHeaders = []string{"Require: siprec", "Accept: application/sdp, application/rs-metadata, application/rs-metadata-request"}

var dialects = []dialect{
	{name: "rfc", ctype: "multipart/mixed;boundary=foobar"},
	{name: "marker src", contact: "<sip:src@HOST>;src"},
	{name: "marker inside the brackets", contact: "\"SBC\" <sip:src@HOST;+sip.src>"},
	{name: "marker in an unclosed bracket", contact: "<sip:src@HOST;+sip.src"},
	{name: "marker after another parameter", contact: "<sip:src@HOST>;isup-oli=00;+sip.src"},
	{name: "no marker", contact: "<sip:src@HOST>"},
	{name: "typing error in Contact", contact: "<sip:acmeSrc@HOST;tranport=udp>;+sip.src"},
	{name: "no Require", headers: []string{"Supported:", "Recv-Info:"}, contact: "<sip:src@HOST>;src"},
	{name: "Require and Supported, two Accept, Call-Info", headers: []string{"Require: siprec", "Supported: siprec", "Accept: application/sdp",
		"Accept: application/rs-metadata", "Call-Info: (null)", "x-Call-Direction: in"}},
	{name: "session timer and Allow", headers: append([]string{"Supported: timer,100rel", "Session-Expires: 1800;refresher=uac", "Min-SE: 90", "Allow: INVITE,ACK,BYE,UPDATE"}, rfcHeaders...)},
	{name: "From without brackets, two spaces", from: "From:  sip:src@127.0.0.1;tag=raw", contact: "<sip:src@HOST>;+sip.src"},
	{name: "boundary in quotes", boundary: "OSS unique=boundary:42", ctype: `multipart/mixed; boundary="OSS unique=boundary:42"`},
	{name: "boundary that looks like a delimiter", boundary: "----=_Part_12_345.678", ctype: `multipart/mixed; boundary="----=_Part_12_345.678"`},
	{name: "boundary in quotes with a space after it", ctype: `multipart/mixed;boundary="metaswitch-boundary "`, boundary: "metaswitch-boundary "},
	{name: "boundary with a space after it", ctype: "multipart/mixed;boundary=foobar "},
	{name: "capitals", ctype: `Multipart/Mixed; Boundary="foobar"`, body: strings.NewReplacer("Content-Type", "CONTENT-TYPE", "application/sdp", "application/SDP", "recording-session", "Recording-Session").Replace(plainBody)},
	{name: "spaces after the delimiters", body: strings.NewReplacer("--@B\n", "--@B  \n", "--@B--\n", "--@B-- \n").Replace(plainBody)},
	{name: "an empty line first", body: "\n" + plainBody},
	{name: "preamble and epilogue", body: "a message in several parts\n" + plainBody + "the end\n"},
	{name: "no closing boundary", body: strings.Replace(plainBody, "--@B--\n", "", 1)},
	{name: "MIME-Version", headers: append([]string{"MIME-Version: 1.0"}, rfcHeaders...)},
	{name: "LF only", lf: true},
	{name: "type without +xml", body: strings.Replace(plainBody, "rs-metadata+xml", "rs-metadata", 1)},
	{name: "charset", body: strings.NewReplacer("application/sdp", "application/sdp;charset=ISO-10646", "rs-metadata+xml", "rs-metadata+xml; charset=utf-8").Replace(plainBody)},
	{name: "no space in the parts' headers, lengths", body: strings.NewReplacer("Content-Type: application/sdp", "Content-Type:application/sdp\nContent-Length:"+fmt.Sprint(len(crlf(plainSDP))),
		"Content-Disposition: recording-session", "Content-Length:@LEN\nContent-Disposition:recording-session").Replace(plainBody)},
	{name: "disposition before type, on both", body: strings.NewReplacer("Content-Type: application/sdp", "Content-Disposition: session;handling=required\nContent-Type: application/sdp",
		"Content-Type: application/rs-metadata+xml\nContent-Disposition: recording-session", "Content-Disposition: recording-session;handling=optional\nContent-Type: application/rs-metadata+xml").Replace(plainBody)},
	{name: "no disposition", body: strings.Replace(plainBody, "Content-Disposition: recording-session\n", "", 1)},
	{name: "metadata first", body: "--@B\nContent-Type: application/rs-metadata+xml\nContent-Disposition: recording-session\n\n@DOC\n--@B\nContent-Type: application/sdp\n\n@SDP\n--@B--\n"},
	{name: "GTD part", body: strings.Replace(plainBody, "--@B--", "--@B\nContent-Disposition: signal;handling=optional\nContent-Type: application/gtd\n\nIAM,\nPRN,isdn*,,NI***,\nGCI,0011223344556677\n\n--@B--", 1)},
	{name: "part with an identifier and an encoding", body: strings.NewReplacer("Content-Type: application/sdp", "Content-ID: <sdp@src>\nContent-Transfer-Encoding: 8bit\nContent-Type: application/sdp").Replace(plainBody)},
	{name: "no metadata", ctype: "application/sdp", body: "@SDP", people: "-", warnings: "no-metadata"},
	{name: "no metadata in a multipart", body: "--@B\nContent-Type: application/sdp\n\n@SDP\n--@B--\n", people: "-", warnings: "no-metadata"},
	{name: "offset without a colon", document: dated("2026-01-02T06:04:05+0300")},
	{name: "offset with a colon", document: dated("2026-01-02T06:04:05+03:00")},
	{name: "no zone", document: dated("2026-01-02T03:04:05"), warnings: "time-without-zone"},
	{name: "1970", document: dated("1970-01-01T00:00:00Z")},
	{name: "old namespace and prefix", document: strings.NewReplacer("urn:ietf:params:xml:ns:recording:1", "urn:ietf:params:xml:ns:recording", "xmlns=", "xmlns:tns=", "<recording ", "<tns:recording ",
		"</recording>", "</tns:recording>", "datamode", "dataMode", ">complete<", ">Complete<").Replace(plainDocument)},
	{name: "BroadWorks root", document: broadworks},
	{name: "Genesys CDATA", extra: "<agent>7001</agent>", document: extended(
		`<extensiondata xmlns:apkt="http:/acmepacket.com/siprec/extensiondata"><apkt:ucid>00FA080001000254B1C2D3;encoding=hex</apkt:ucid><apkt:header label="X-Genesys"><![CDATA[<gen><agent>7001</agent> & more</gen>]]></apkt:header></extensiondata>`)},
	{name: "second m-line without rtpmap", sdp: strings.Replace(plainSDP, "a=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=label:2\n", "a=label:2\n", 1)},
	{name: "mistyped rtpmap", sdp: strings.Replace(plainSDP, "a=rtpmap:0 PCMU/8000", "a=rtpmap:0 pcmu/8000a", 1)},
	{name: "no direction", sdp: strings.ReplaceAll(plainSDP, "a=sendonly\n", "")},
	{name: "direction twice, unknown attributes", sdp: strings.ReplaceAll(plainSDP, "a=sendonly\n", "a=direction:both\na=3gOoBTC\na=sendonly\n")},
	{name: "labels that differ", sdp: strings.NewReplacer("label:1", "label:5", "label:2", "label:6").Replace(plainSDP), labels: "5 6", people: alice + "= " + bob + "=", warnings: "label-not-offered label-unclaimed"},
	{name: "no labels", sdp: strings.NewReplacer("a=label:1\n", "", "a=label:2\n", "").Replace(plainSDP), labels: "m-line 1 m-line 2", people: alice + "= " + bob + "=", warnings: "label-not-offered label-missing"},
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// message gives the Content-Type and the body of the dialect's INVITE.
func (d dialect) message(callID string) (contentType, body string) {
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	boundary := or(d.boundary, "foobar")
	document := strings.ReplaceAll(or(d.document, plainDocument), "CALL", callID)
	body = strings.ReplaceAll(or(d.body, plainBody), "--@B", "--"+boundary)
	body = strings.NewReplacer("@SDP\n", or(d.sdp, plainSDP), "@SDP", or(d.sdp, plainSDP), "@DOC\n", document, "@LEN", fmt.Sprint(len(crlf(document)))).Replace(body)
	if !d.lf {
		body = crlf(body)
	}
	return or(d.ctype, "multipart/mixed;boundary="+boundary), body
}

// A dialectRun is a dialect over one transport.
type dialectRun struct {
	dialect
	network, id string
	err         error
}

// TestDialectCalls: each way of writing an INVITE opens a call that is recorded, with everything that it says.
func TestDialectCalls(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	ctx, cancel := context.WithTimeout(t.Context(), flowPatience)
	defer cancel()
	var runs []*dialectRun
	var wg sync.WaitGroup
	free := make(chan struct{}, 2*flowsAtOnce)
	for i, d := range dialects {
		for _, network := range []string{"udp", "tcp"} {
			r := &dialectRun{dialect: d, network: network, id: fmt.Sprintf("dialect-%d-%s", i, network)}
			runs = append(runs, r)
			server := s.address(network)
			wg.Go(func() {
				free <- struct{}{}
				defer func() { <-free }()
				r.err = r.call(ctx, server)
			})
		}
	}
	wg.Wait()
	for _, r := range runs {
		t.Run(r.name+"/"+r.network, func(t *testing.T) {
			if r.err != nil {
				t.Fatal(r.err)
			}
			r.check(t, dir)
		})
	}
	verifyGood(t, dir)
}

func (r *dialectRun) call(ctx context.Context, server string) error {
	src, err := dialRaw(ctx, r.network, server)
	if err != nil {
		return err
	}
	defer src.Close()
	c := rawCall{rawSRC: src, id: r.id, from: r.from, to: "To: <sip:srs@" + server + ">", contact: r.contact, target: "sip:srs@" + server}
	if c.from == "" {
		c.from = "From: <sip:src@" + src.local() + ">;tag=raw"
	}
	if c.contact == "" {
		c.contact = "<sip:src@HOST>;+sip.src"
	}
	headers := r.headers
	if headers == nil {
		headers = rfcHeaders
	}
	contentType, body := r.message(r.id)
	a, err := c.ask("INVITE", "\r\n", headers, contentType, body)
	if err != nil {
		return err
	}
	if got := a.header.Get("Content-Type"); got != "application/sdp" {
		return fmt.Errorf("the answer is %s", got)
	}
	answer, err := siprectest.ParseAnswer(a.body)
	if err != nil {
		return err
	}
	for i, m := range answer.Media {
		if want := r.channelLabels()[i]; m.Direction != siprec.RecvOnly || string(m.Label) != want && !strings.HasPrefix(want, "m-line") {
			return fmt.Errorf("m-line %d of the answer: %s", i, a.body)
		}
	}
	if err := speakTo(ctx, answer.Media, outsiderTones, phase); err != nil {
		return err
	}
	_, err = c.ask("BYE", "\r\n", nil, "", "")
	return err
}

func (d dialect) channelLabels() []string {
	switch d.labels {
	case "":
		return []string{"1", "2"}
	case "m-line 1 m-line 2":
		return []string{"m-line 1", "m-line 2"}
	}
	return strings.Fields(d.labels)
}

func (r *dialectRun) check(t *testing.T, dir string) {
	t.Helper()
	row := finished(t, dir, r.id)
	side := sidecarOf(t, dir, row.ID)
	if got := strings.Join(side.Warnings, " "); got != r.warnings {
		t.Errorf("warnings %q, want %q", got, r.warnings)
	}
	want := r.people
	if want == "" {
		want = aliceAndBob
	}
	if got := people(side); got != strings.TrimPrefix(want, "-") {
		t.Errorf("people %s, want %s", got, want)
	}
	channels, rate := play(t, dir, row.ID)
	for i, label := range r.channelLabels() {
		if got := string(side.Channels[i].Label); got != label {
			t.Errorf("channel %d is %s, want %s", i, got, label)
		}
		kept{}.checkTones(t, i, siprectest.Detect(channels[i], rate, float64(outsiderTones[0]), float64(outsiderTones[1])), outsiderTones[i:i+1])
	}
	if want == "-" {
		return
	}
	_, body := r.message(r.id)
	if len(side.Metadata) != 1 || !strings.Contains(body, side.Metadata[0].XML) || !strings.Contains(side.Metadata[0].XML, r.extra) {
		t.Errorf("metadata are not as they came: %q", side.Metadata)
	}
}
