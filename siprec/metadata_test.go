package siprec_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

func parseDocument(t testing.TB, s string) *siprec.Document {
	t.Helper()
	d, err := siprec.ParseMetadata([]byte(s))
	if err != nil {
		t.Fatalf("%v in\n%s", err, s)
	}
	return d
}

// people writes the participants' names and addresses, and the warnings.
func people(d *siprec.Document) string {
	var w strings.Builder
	for _, p := range d.Participants {
		fmt.Fprintf(&w, "%s:", p.ID)
		for _, n := range p.Names {
			fmt.Fprintf(&w, "%s=%q", n.AOR, n.Name)
		}
		w.WriteString(" ")
	}
	return w.String() + fmt.Sprint(d.Warnings)
}

// TestOddDocuments reads one participant out of documents that are not as they should be.
func TestOddDocuments(t *testing.T) {
	wrap := func(s string) string { return "<recording><datamode>partial</datamode>" + s + "</recording>" }
	name := func(s string) string {
		return wrap(`<participant participant_id="p"><nameID aor="a"><name>` + s + `</name></nameID></participant>`)
	}
	tests := []struct{ name, document, want string }{
		{"in order", name("Bob"), `p:a="Bob" []`},
		{"escaped", name("R&amp;D &lt;x&gt; &quot;&apos; &#233;&#x1F600;"), `p:a="R&D <x> \"' é😀" []`},
		{"CDATA", name("<![CDATA[a<b>&amp;]]>"), `p:a="a<b>&amp;" []`},
		{"comment", name("Bo<!-- <x> -->b"), `p:a="Bob" []`},
		{"markup in a name", name("Bob <b>the</b> Builder"), `p:a="Bob the Builder" []`},
		{"bare ampersand", name("R&D; &"), `p:a="R&D; &" [ill-formed]`},
		{"bare less-than", name("a < b <3 <"), `p:a="a < b <3 <" [ill-formed]`},
		{"angle brackets", name("Bob <sip:bob@example.com>"), `p:a="Bob <sip:bob@example.com>" [ill-formed]`},
		{"looks like a tag", name("Bob <Smith> Jr"), `p:a="Bob <Smith> Jr" [ill-formed]`},
		{"looks like a tag with attributes", name(`Bob <Smith of York>`), `p:a="Bob <Smith of York>" [ill-formed]`},
		{"stray end tag", name("Bob</i>"), `p:a="Bob" [ill-formed]`},
		{"entity", `<!DOCTYPE r [<!ENTITY x "expanded">]>` + name("&x;"), `p:a="&x;" [ill-formed]`},
		{"DOCTYPE", `<?xml version="1.0"?><!DOCTYPE recording SYSTEM "http://example.com/>">` + name("Bob"), `p:a="Bob" []`},
		{"control character", name("B\x01ob\x00"), `p:a="Bob" [ill-formed]`},
		{"comment without end", name("Bob <!-- x"), `p:a="Bob <!-- x" [ill-formed]`},
		{"cut off", wrap(`<participant participant_id="p"><nameID aor="a"/></participant><participant partic`)[:113], `p:a="" [ill-formed]`},
		{"cut off inside", strings.Split(name("Bob"), "</nameID")[0], `p:a="Bob" [ill-formed]`},
		{"end tags missing", wrap(`<participant participant_id="p"><nameID aor="a"><name>Bob</participant>`), `p:a="Bob" [ill-formed]`},
		{"unquoted attribute", wrap(`<participant participant_id=p x y><nameID aor='a'/></participant>`), `p:a="" [ill-formed]`},
		{"less-than in an attribute", wrap(`<participant participant_id="p"><nameID aor="<a>&"/></participant>`), `p:<a>&="" [ill-formed]`},
		{"text around", "junk" + name("Bob") + "junk", `p:a="Bob" [ill-formed]`},
		{"space and comments around", "\ufeff\r\n <!-- x -->" + name("Bob") + "\n<!-- y --><?z?> ", `p:a="Bob" []`},
		{"second root", name("Bob") + name("Rob"), `p:a="Bob" [ill-formed]`},
		{"Latin-1 declared", `<?xml version="1.0" encoding="ISO-8859-1"?>` + name("Andr\xe9"), `p:a="André" []`},
		{"Latin-1 not declared", name("Andr\xe9 é"), `p:a="André é" [ill-formed]`},
		{"UTF-16", utf16(name("André")), `p:a="André" []`},
		{"unknown prefix", `<x:recording><x:datamode>partial</x:datamode><x:participant participant_id="p"><x:nameID aor="a"/></x:participant></x:recording>`, `p:a="" []`},
		{"unknown root", `<snapshot><participant participant_id="p"><nameID aor="a"/></participant></snapshot>`, `p:a="" [unknown-root no-streams]`},
		{"unknown mode", `<recording><datamode>some</datamode><group group_id="g"/></recording>`, `[unknown-datamode]`},
		{"empty", `<recording/>`, `[]`},
		{"other namespace", wrap(`<x:participant xmlns:x="urn:x" participant_id="q"/><participant participant_id="p"/>`), `p: []`},
		{"no id", wrap(`<participant><nameID aor="a"/></participant><participant/>`), `a:a="" [missing-id]`},
		{"duplicate", wrap(`<participant id="p"><aor>a</aor></participant><participant id="p"><aor>b</aor></participant>`), `p:a=""b="" [duplicate-participant]`},
		{"names in languages", wrap(`<participant id="p"><nameID aor="a"><name xml:lang="de">Wien</name><name xml:lang="en">Vienna</name></nameID></participant>`),
			`p:a="Wien"a="Vienna" []`},
		{"name beside aor", wrap(`<participant id="p"><name>Bob</name><aor>a</aor></participant>`), `p:a="Bob" []`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, people(parseDocument(t, tt.document))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func utf16(s string) string {
	out := []byte{0xff, 0xfe}
	for _, r := range s {
		out = append(out, byte(r), byte(r>>8))
	}
	return string(out)
}

func TestParseMetadataRefuses(t *testing.T) {
	repeat := func(s string, n int) string { return "<recording>" + strings.Repeat(s, n) + "</recording>" }
	numbered := func(format string, n int) string {
		var w strings.Builder
		for i := range n {
			fmt.Fprintf(&w, format, i)
		}
		return "<recording>" + w.String() + "</recording>"
	}
	tests := []struct{ name, document, reason string }{
		{"empty", "", "not XML"},
		{"prose", "[metadata content]", "not XML"},
		{"other document", `<requestsnapshot xmlns='urn:ietf:params:xml:ns:recording:1'/>`, "not recording metadata: the root element is \"requestsnapshot\""},
		{"bytes", strings.Repeat(" ", siprec.MaxMetadataBytes+1), "bytes in the metadata: more than the limit of 262144"},
		{"depth", strings.Repeat("<name>", 40), "inside one another: more than the limit of 32"},
		{"elements", repeat("<x/>", siprec.MaxXMLElements), "elements in the metadata: more than the limit of 8192"},
		{"attributes", "<recording" + strings.Repeat(` a=""`, 65) + "/>", "attributes in a metadata element: more than the limit of 64"},
		{"text", "<recording>" + strings.Repeat("x", siprec.MaxTextBytes+1) + "</recording>", "bytes of text in a metadata element"},
		{"attribute text", `<recording a="` + strings.Repeat("x", siprec.MaxTextBytes+1) + `"/>`, "bytes of text in a metadata attribute"},
		{"participants", numbered(`<participant id="%d"/>`, 257), "participants in the metadata: more than the limit of 256"},
		{"streams", numbered(`<stream id="%d"/>`, 257), "streams in the metadata"},
		{"sessions", numbered(`<session id="%d"/>`, 257), "sessions in the metadata"},
		{"associations", repeat(`<participantsessionassoc/>`, 1025), "participant associations in the metadata"},
		{"extensions", repeat("<x/>", 5000), "extension values in the metadata"},
		{"references", `<recording><participantstreamassoc>` + strings.TrimSuffix(strings.TrimPrefix(numbered(`<send>%d</send>`, 1025), "<recording>"), "</recording>") +
			`</participantstreamassoc></recording>`, "stream references of one association"},
		{"names", `<recording><participant id="p">` + strings.TrimSuffix(strings.TrimPrefix(numbered(`<aor>%d</aor>`, 33), "<recording>"), "</recording>") +
			`</participant></recording>`, "names of one participant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := siprec.ParseMetadata([]byte(tt.document))
			wantMalformed(t, err, tt.reason)
		})
	}
}

func TestTimes(t *testing.T) {
	tests := []struct{ raw, want, warnings string }{
		{"2026-03-01T08:00:00Z", "2026-03-01T08:00:00Z", "[]"},
		{"2026-03-01T08:00:00.123Z", "2026-03-01T08:00:00.123Z", "[]"},
		{"2026-03-01t08:00:00z", "2026-03-01T08:00:00Z", "[]"},
		{"2026-03-01 08:00:00+00:00", "2026-03-01T08:00:00Z", "[]"},
		{"2026-03-01T11:00:00+0300", "2026-03-01T08:00:00Z", "[]"},
		{"2026-03-01T08:00:00+0000", "2026-03-01T08:00:00Z", "[]"},
		{"2026-03-01T03:00:00-05", "2026-03-01T08:00:00Z", "[]"},
		{" 1970-01-01T00:00:00Z\n", "1970-01-01T00:00:00Z", "[]"},
		{"2026-03-01T08:00:00", "(2026-03-01T08:00:00)", "[time-without-zone]"},
		{"2026-03-01T08:00:00.5", "(2026-03-01T08:00:00.5)", "[time-without-zone]"},
		{"yesterday", "(yesterday)", "[unreadable-time]"},
		{"2026-02-30T08:00:00Z", "(2026-02-30T08:00:00Z)", "[unreadable-time]"},
		{"", "()", "[]"},
	}
	for _, tt := range tests {
		d := parseDocument(t, `<recording><datamode>partial</datamode><session id="s"><start-time>`+tt.raw+`</start-time></session></recording>`)
		if got := dumpTime(d.Sessions[0].Start); got != tt.want || fmt.Sprint(d.Warnings) != tt.warnings {
			t.Errorf("%q: got %s %v, want %s %s", tt.raw, got, d.Warnings, tt.want, tt.warnings)
		}
	}
}

func TestDocumentWarnings(t *testing.T) {
	tests := []struct {
		document string
		want     siprec.Warning
	}{
		{`<recording><session id="s"/></recording>`, siprec.WarnNoStreams},
		{`<recording><participant id="p"/><stream id="s"><label>1</label></stream></recording>`, siprec.WarnNoSenders},
		{`<recording><stream id="s"/></recording>`, siprec.WarnStreamWithoutLabel},
		{`<recording><participant id="p"><send>x</send></participant><stream id="s"><label>1</label></stream></recording>`, siprec.WarnDanglingStream},
		{`<recording><participantstreamassoc participant_id="x"/></recording>`, siprec.WarnDanglingParticipant},
		{`<recording><participantsessionassoc participant_id="x"/></recording>`, siprec.WarnDanglingParticipant},
		{`<recording><stream id="s"><label>1</label></stream><stream id="s"><label>2</label></stream></recording>`, siprec.WarnDuplicateStream},
		{`<recording><session id="s"/><session id="s"/></recording>`, siprec.WarnDuplicateSession},
	}
	for _, tt := range tests {
		if d := parseDocument(t, tt.document); !slices.Contains(d.Warnings, tt.want) {
			t.Errorf("%s: warnings %v, want %s", tt.document, d.Warnings, tt.want)
		}
	}
}

func TestRawIsKept(t *testing.T) {
	text := []byte("\ufeff<recording/>")
	d := parseDocument(t, string(text))
	if !bytes.Equal(d.Raw, text) {
		t.Errorf("raw text is %q", d.Raw)
	}
}

func TestSnapshotRequest(t *testing.T) {
	var request struct {
		XMLName xml.Name `xml:"urn:ietf:params:xml:ns:recording:1 requestsnapshot"`
		Reason  string   `xml:"requestreason"`
	}
	if err := xml.Unmarshal(siprec.SnapshotRequest("a < b & c"), &request); err != nil {
		t.Fatal(err)
	}
	if request.Reason != "a < b & c" {
		t.Errorf("reason %q", request.Reason)
	}
}
