package siprec_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

// corpus gives the folder of messages that others made, named by GREFFIER_CORPUS. They are not ours to distribute, so where the
// variable is not set and the folder is not beside the checkout, it gives "" and the test has nothing to read.
func corpus(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("GREFFIER_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpus")
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

// firstBoundary finds the boundary of a body without SIP header.
var firstBoundary = regexp.MustCompile(`\s*--(\S+)`)

// TestCorpusVendor reads the vendors' bodies and compares with what the corpus' index says of them. Participants come with
// the label that they send and, where it is known, whether they called.
func TestCorpusVendor(t *testing.T) {
	dir := corpus(t)
	if dir == "" {
		return
	}
	const xml, old = "application/rs-metadata+xml", "application/rs-metadata"
	tests := []struct {
		file, parts, media, people, warnings string
	}{
		{"oracle-acme-2019-offer", "application/sdp " + xml, "16777227:sendonly 16777228:sendonly",
			"sip:9000@192.168.50.102=16777227+ sip:1002@192.168.50.10=16777228-", "time-without-zone"},
		{"opensips-connectel-2018-offer1", "application/sdp " + xml, "1:sendonly 2:sendonly", "sip:0771121212@52.57.92.239= sip:0760516936@sip-cust1.connectel.io=", "no-senders"},
		{"opensips-connectel-2018-offer2", "application/sdp " + xml, "1:sendonly 2:sendonly", "sip:0771121212@52.57.92.239= sip:0760516936@sip-cust1.connectel.io=", "no-senders"},
		{"opensips-connectel-2018-offer3", "application/sdp " + xml, "1:sendonly 2:sendonly", "sip:0771121212@52.57.92.239= sip:0760516936@sip-cust1.connectel.io=", "no-senders"},
		{"sems-procomm-2017-offer", "application/sdp " + old, "a_leg:sendonly b_leg:sendonly",
			"sip:016190200@87.252.209.116=a_leg Extension-016190619@speechpath.ie=b_leg", ""},
		{"sonus-ribbon-2018-offer", "application/sdp " + xml, "1:sendonly 2:sendonly", "2249888500@172.16.198.55=2 2249888012@172.16.195.72=1", ""},
		{"cisco-cube-2017-offer-gtd", "application/sdp " + xml + " application/gtd", "1:sendonly 2:sendonly", "sip:7301@35.162.237.204=1 sip:7300@35.162.237.204=2", ""},
		{"cisco-cube-2021-inactive-offer", "application/sdp " + xml, "1:inactive 2:inactive", "sip:0733165805@192.168.40.34= sip:+972546136443@192.168.10.140=", ""},
		{"broadworks-2026-v4-orig-offer", xml + " application/sdp", "1:sendonly 2:sendonly",
			"sip:user1001@example.test=1+ sip:15550001002@192.0.2.10;user=phone=2-", ""},
		{"broadworks-2026-v4-term-offer", xml + " application/sdp", "1:sendonly 2:sendonly",
			"sip:user1001@example.test=1- sip:+15550001002@192.0.2.10;user=phone=2+", ""},
		{"avaya-sbce-2019-offer", "application/sdp " + xml, "10:sendonly 20:sendonly", "sip:9878942259@212.188.68.145=10 sip:ASBCE@asbce.com=20", "time-without-zone"},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			raw := readFile(t, filepath.Join(dir, "vendor", tt.file+".body"))
			for _, eol := range []string{"\n", "\r\n"} { // as stored, and as it was on the wire
				b := []byte(strings.ReplaceAll(string(raw), "\n", eol))
				boundary := string(firstBoundary.FindSubmatch(b)[1])
				contentTypes := regexp.MustCompile(`(?m)^Content-Type: *(\S+)`).FindAllStringSubmatch(string(b), -1)
				var order []string
				for _, c := range contentTypes {
					order = append(order, c[1])
				}
				if diff := cmp.Diff(tt.parts, strings.Join(order, " ")); diff != "" {
					t.Errorf("the file's parts: %s", diff)
				}
				body, err := siprec.ParseBody("multipart/mixed;boundary="+boundary, b)
				if err != nil {
					t.Fatal(err)
				}
				if others := len(order) - 2; len(body.Other) != others {
					t.Errorf("%d other parts, want %d", len(body.Other), others)
				}
				checkMedia(t, body.SDP, tt.media)
				d := parseDocument(t, string(body.Metadata))
				var m siprec.Metadata
				m.Apply(d, t0)
				if d.DataMode != siprec.Complete || len(d.Participants) != 2 || len(d.Streams) != 2 || len(d.Sessions) != 1 {
					t.Errorf("%s with %d sessions, %d participants, %d streams", d.DataMode, len(d.Sessions), len(d.Participants), len(d.Streams))
				}
				if diff := cmp.Diff(tt.people, senders(&m)); diff != "" {
					t.Errorf("people: %s", diff)
				}
				var warnings []string
				for _, w := range m.Warnings {
					warnings = append(warnings, string(w))
				}
				if diff := cmp.Diff(tt.warnings, strings.Join(warnings, " ")); diff != "" {
					t.Errorf("warnings: %s", diff)
				}
			}
		})
	}
}

func checkMedia(t *testing.T, sdp []byte, want string) {
	t.Helper()
	offer, err := siprec.ParseOffer(sdp)
	if err != nil {
		t.Fatal(err)
	}
	var media []string
	for _, m := range offer.Media {
		media = append(media, string(m.Label)+":"+string(m.Direction))
		if m.Type != "audio" || len(m.Formats) == 0 || m.Formats[0].Encoding == "" || m.Port == 0 {
			t.Errorf("m-line %+v", m)
		}
	}
	if diff := cmp.Diff(want, strings.Join(media, " ")); diff != "" {
		t.Errorf("m-lines: %s", diff)
	}
}

// senders writes each participant with the labels sent.
func senders(m *siprec.Metadata) string {
	var out []string
	for _, p := range m.Present() {
		s := p.AOR() + "="
		for _, presence := range m.Presences {
			if presence.Participant == p.ID {
				s += string(presence.Label)
			}
		}
		if p.Caller != nil {
			s += map[bool]string{true: "+", false: "-"}[*p.Caller]
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// TestCorpusVendorDetails checks what else the index says of some files.
func TestCorpusVendorDetails(t *testing.T) {
	dir := corpus(t)
	if dir == "" {
		return
	}
	read := func(file string) (*siprec.Document, *siprec.Offer) {
		b := readFile(t, filepath.Join(dir, "vendor", file+".body"))
		body, err := siprec.ParseBody("multipart/mixed;boundary="+string(firstBoundary.FindSubmatch(b)[1]), b)
		if err != nil {
			t.Fatal(err)
		}
		return parseDocument(t, string(body.Metadata)), mustParse(t, string(body.SDP))
	}
	extension := func(d *siprec.Document, name, value string) {
		t.Helper()
		for _, x := range d.Extensions {
			if x.Name == name && x.Value == value {
				return
			}
		}
		t.Errorf("no extension %s = %q", name, value)
	}
	d, _ := read("oracle-acme-2019-offer")
	extension(d, "callingParty", "true")
	if len(d.ParticipantSessions)+len(d.ParticipantStreams) != 0 || !d.Sessions[0].Start.Time.IsZero() || d.Sessions[0].Start.Raw != "2019-03-09T16:50:20" {
		t.Errorf("oracle: %+v", d.Sessions)
	}
	d, _ = read("sonus-ribbon-2018-offer")
	extension(d, "callData/gcid", "241205267")
	extension(d, "callData/fromhdr", `"Extension 8500" <sip:2249888500@172.16.198.55>;tag=SerryvK5ej0jc`)
	if year := d.Sessions[0].Start.Time.Year(); year != 1970 {
		t.Errorf("sonus: year %d", year)
	}
	d, _ = read("cisco-cube-2017-offer-gtd")
	if ms := d.Sessions[0].Start.Time.Nanosecond() / 1e6; ms != 40 {
		t.Errorf("cisco: %d ms", ms)
	}
	d, _ = read("cisco-cube-2021-inactive-offer")
	if len(d.ParticipantStreams) != 2 || len(d.ParticipantStreams[0].Send) != 0 {
		t.Errorf("cisco: %+v", d.ParticipantStreams)
	}
	d, _ = read("broadworks-2026-v4-orig-offer")
	extension(d, "broadWorksRecordingMetadata/callType/origCall/callingPartyNumber", "sip:+15550001001@192.0.2.10")
	if !strings.HasPrefix(string(d.Sessions[0].ID), "urn:uuid:") {
		t.Errorf("broadworks: %+v", d.Sessions)
	}
	d, _ = read("broadworks-2026-v4-term-offer")
	extension(d, "broadWorksRecordingMetadata/callType/termCall/calledPartyNumber", "sip:+15550001001@192.0.2.10")
	d, _ = read("avaya-sbce-2019-offer")
	if d.Sessions[0].ID != "00FA0800705D4C5DCAAC41" {
		t.Errorf("avaya: %+v", d.Sessions)
	}
	_, offer := read("opensips-connectel-2018-offer1")
	if a, b := offer.Media[0].Formats[0].Encoding, offer.Media[1].Formats[0].Encoding; a != "PCMU" || b != "PCMA" {
		t.Errorf("opensips: %s first, then %s first", a, b)
	}

	body, err := siprec.ParseBody("application/sdp", readFile(t, filepath.Join(dir, "vendor", "negative-cisco-plain-sdp.sdp")))
	if err != nil {
		t.Fatal(err)
	}
	if body.Metadata != nil {
		t.Error("metadata in a plain description")
	}
	checkMedia(t, body.SDP, "1:sendonly")
	for _, answer := range strings.Split(string(readFile(t, filepath.Join(dir, "vendor", "sdp-freeswitch-answers.split.txt"))), "__split_here__\n") {
		if offer := mustParse(t, answer); len(offer.Media) != 1 || offer.Media[0].Label != "" {
			t.Errorf("freeswitch: %+v", offer.Media)
		}
	}
}

// TestCorpusRFC8068 applies the metadata of RFC 8068 in order and looks at who is there and who sends.
func TestCorpusRFC8068(t *testing.T) {
	dir := corpus(t)
	if dir == "" {
		return
	}
	names := strings.NewReplacer(
		"srfBElmCRp2QB23b7Mpk0w==", "alice", "zSfPoSvdSDCmU3A3TRDxAw==", "bob", "Atnm1ZRnOC6Pm5MApkrDzQ==", "carol", "EiXGlc+4TruqqoDaNE76ag==", "carol2")
	tests := []struct{ file, present, sending string }{
		{"01", "alice bob", "alice:97 alice:96 bob:98 bob:99"},  // basic call
		{"02", "alice bob", "bob:98 bob:99"},                    // hold
		{"03", "alice bob", "bob:98 bob:99 alice:97 alice:96"},  // resume
		{"04", "bob carol", "bob:98 bob:99"},                    // transfer; the document describes none of Carol's streams
		{"05", "", ""},                                          // the session stops, and everyone in it leaves
		{"06", "bob carol", "bob:98 bob:99 carol:96 carol:97"},  // the session after a transfer by REFER
		{"07", "bob carol", "bob:98 bob:99 carol:96 carol:97"},  // the other session's end
		{"08", "alice bob", "alice:96 bob:96"},                  // mixed
		{"09", "alice bob", "bob:96"},                           // hold
		{"10", "alice bob", "bob:96 alice:96"},                  // resume
		{"11", "alice bob carol", "bob:96 alice:96 carol:96"},   // Carol joins
		{"12", "bob carol", "bob:96 carol:96"},                  // Alice drops
		{"13", "", ""},                                          // disconnect
		{"14", "alice bob carol2", "alice:96 bob:96 carol2:96"}, // two sessions in one
	}
	var m siprec.Metadata
	for i, tt := range tests {
		b := readFile(t, filepath.Join(dir, "rfc", "rfc8068-"+tt.file+"-metadata.xml"))
		d := parseDocument(t, string(b))
		m.Apply(d, at(10*i))
		checkState(t, &m)
		var sending []string
		for _, p := range m.Presences {
			if p.To.IsZero() {
				sending = append(sending, names.Replace(string(p.Participant))+":"+string(p.Label))
			}
		}
		if got := names.Replace(presentIDs(&m)); got != tt.present {
			t.Errorf("%s: present %s, want %s", tt.file, got, tt.present)
		}
		if got := strings.Join(sending, " "); got != tt.sending {
			t.Errorf("%s: sending %s, want %s", tt.file, got, tt.sending)
		}
	}
}

// TestCorpusRFC7865 reads the instances of RFC 7865, and what is no metadata in its folder.
func TestCorpusRFC7865(t *testing.T) {
	dir := corpus(t)
	if dir == "" {
		return
	}
	for _, file := range []string{"rfc7865-01-snapshotreq.xml", "rfc7866-01-snapshotreq.xml", "rfc7865-04-schema.xml"} {
		_, err := siprec.ParseMetadata(readFile(t, filepath.Join(dir, "rfc", file)))
		wantMalformed(t, err, "not recording metadata")
	}
	var m siprec.Metadata
	m.Apply(parseDocument(t, string(readFile(t, filepath.Join(dir, "rfc", "rfc7865-02-metadata.xml")))), t0)
	if got := senders(&m); got != "sip:bob@biloxi.com=9796 sip:Paul@biloxi.com=9899" {
		t.Errorf("people %s", got)
	}
	if value, _ := m.Extension("call-center/supervisor"); value != "sip:alice@atlanta.com" {
		t.Errorf("supervisor %q", value)
	}
	if got := m.CallKey(""); got != "47755a9de7794ba387653f2099600ef2;ab30317f1a784dc48ff824d0d3715d86" {
		t.Errorf("call key %s", got)
	}
	d := parseDocument(t, string(readFile(t, filepath.Join(dir, "rfc", "rfc7865-03-metadata.xml"))))
	m.Apply(d, at(10))
	if got := senders(&m); d.DataMode != siprec.Partial || got != "sip:Paul@biloxi.com=9899" {
		t.Errorf("%s: people %s", d.DataMode, got)
	}
}

// TestCorpusRFCMessages reads the bodies of the example messages, freed of the page's indentation.
func TestCorpusRFCMessages(t *testing.T) {
	dir := corpus(t)
	if dir == "" {
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "rfc", "*-message.txt"))
	if err != nil || len(files) < 16 {
		t.Fatalf("%d messages, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), "-message.txt")
		text := regexp.MustCompile(`(?m)^ +`).ReplaceAllString(string(readFile(t, file)), "")
		contentType, content := messageBody(text)
		body, err := siprec.ParseBody(contentType, content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name == "rfc8068-14" {
			continue // shortened in the RFC beyond what can be read: a description is announced, a document follows
		}
		media := 0
		if body.SDP != nil {
			media = len(mustParse(t, string(body.SDP)).Media)
		}
		if want := strings.Count("\n"+text, "\nm="); media != want {
			t.Errorf("%s: %d m-lines, want %d", name, media, want)
		}
		if body.Metadata == nil {
			t.Errorf("%s: no metadata", name)
		} else if strings.HasPrefix(name, "rfc8068") {
			parseDocument(t, string(body.Metadata))
		}
	}
}

// messageBody takes a SIP message apart as far as tests need it.
func messageBody(text string) (contentType string, body []byte) {
	header, content, found := strings.Cut(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n")
	if !found {
		return "", nil
	}
	if m := regexp.MustCompile(`(?im)^(?:Content-Type|c)\s*:\s*(.*(?:\n[ \t].*)*)`).FindStringSubmatch(header); m != nil {
		contentType = m[1]
	}
	return contentType, []byte(content)
}

// TestCorpusTorture feeds the bodies of RFC 4475 and RFC 5118 through the readers.
func TestCorpusTorture(t *testing.T) {
	dir := corpus(t)
	if dir == "" {
		return
	}
	var files []string
	for _, pattern := range []string{"torture-rfc4475/*.dat", "torture-rfc5118/*.sip"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 60 {
		t.Errorf("only %d torture messages", len(files))
	}
	for _, file := range files {
		contentType, content := messageBody(string(readFile(t, file)))
		body, err := siprec.ParseBody(contentType, content)
		if err != nil {
			onlyMalformed(t, err)
			continue
		}
		if body.SDP == nil {
			continue
		}
		if _, err := siprec.ParseOffer(body.SDP); err != nil {
			onlyMalformed(t, err)
		}
	}
}
