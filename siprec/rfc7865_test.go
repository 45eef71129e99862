package siprec_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/greffier/greffier/siprec"
)

// element names where a row of the table comes from.
const other = ` xmlns="urn:example:other"`

// TestRFC7865Model reads every attribute that sections 6.1 to 6.11 and the schema of section 9 give the classes, and what they let stand
// beside them.
func TestRFC7865Model(t *testing.T) {
	said := func(raw string) siprec.Time { return siprec.Time{Raw: raw} } // compared by Raw
	tests := []struct {
		section, elements string
		want              siprec.Document
	}{
		{
			"6.2 group", `<group group_id="g"><associate-time>A</associate-time><disassociate-time>B</disassociate-time><supervisor` + other + `>sip:s@x</supervisor></group>`,
			siprec.Document{
				Groups:     []siprec.Group{{ID: "g", Associate: said("A"), Disassociate: said("B")}},
				Extensions: []siprec.Extension{{Parent: "g", Name: "supervisor", Value: "sip:s@x"}},
			},
		},
		{
			"6.3 session", `<session session_id="s" x:odd="1" xmlns:x="urn:x"><sipSessionID>a;remote=b</sipSessionID><sipSessionID>c</sipSessionID>
				<reason cause="200" protocol="SIP">Call completed elsewhere</reason><reason cause="16" protocol="Q.850" x:by="net"> Terminated </reason><reason cause="486"/><reason cause="99999">far</reason>
				<group-ref>g</group-ref><group-ref/><start-time>A</start-time><stop-time>B</stop-time><mydata` + other + `><structure>FOO!</structure></mydata></session>`,
			siprec.Document{
				Sessions: []siprec.Session{{
					ID: "s", Group: "g", SIPSessionIDs: []string{"a;remote=b", "c"}, Start: said("A"), Stop: said("B"),
					Reasons: []siprec.Reason{{"SIP", 200, "Call completed elsewhere"}, {"Q.850", 16, "Terminated"}, {"SIP", 486, ""}, {"SIP", 0, "far"}},
				}},
				Extensions: []siprec.Extension{{"s", "@odd", "1"}, {"s", "reason/@by", "net"}, {"s", "mydata/structure", "FOO!"}},
			},
		},
		{
			"6.4 CS-RS association", `<sessionrecordingassoc session_id="s" state="up"><associate-time>A</associate-time><disassociate-time>B</disassociate-time><x` + other + `>1</x></sessionrecordingassoc>`,
			siprec.Document{
				SessionRecordings: []siprec.SessionRecording{{Session: "s", Associate: said("A"), Disassociate: said("B")}},
				Extensions:        []siprec.Extension{{"s", "sessionrecordingassoc/@state", "up"}, {"s", "x", "1"}},
			},
		},
		{
			"6.5 participant", `<participant participant_id="p"><nameID aor="sip:a@x" kind="work"><name xml:lang="it">Anna</name><name xml:lang="en">Ann</name><title>Dr</title></nameID>
				<nameID aor="tel:+331"/><nameID aor="sip:a@x"><name>Anna</name></nameID><role` + other + `>agent</role></participant>`,
			siprec.Document{
				Participants: []siprec.Participant{{ID: "p", Names: []siprec.NameID{{"sip:a@x", "Anna", "it"}, {"sip:a@x", "Ann", "en"}, {"tel:+331", "", ""}}}},
				Extensions:   []siprec.Extension{{"p", "nameID/@kind", "work"}, {"p", "nameID/title", "Dr"}, {"p", "role", "agent"}},
			},
		},
		{
			"6.6 participant-CS association", `<participantsessionassoc participant_id="p" session_id="s"><associate-time>A</associate-time><disassociate-time>B</disassociate-time>
				<param pname="isfocus"/><param pname="+sip.rendering" pval="no"/><param pname="isfocus" pval=""/><param odd="1"/><x` + other + `>1</x></participantsessionassoc>`,
			siprec.Document{
				ParticipantSessions: []siprec.ParticipantSession{{
					Participant: "p", Session: "s", Associate: said("A"), Disassociate: said("B"),
					Features: []siprec.Feature{{"isfocus", ""}, {"+sip.rendering", "no"}},
				}},
				Extensions: []siprec.Extension{{"p", "param/@odd", "1"}, {"p", "param", ""}, {"p", "x", "1"}},
			},
		},
		{
			"6.7 stream", `<stream stream_id="m" session_id="s" codec="x"><label>96</label><associate-time>A</associate-time><disassociate-time>B</disassociate-time><x` + other + `>1</x></stream>`,
			siprec.Document{
				Streams:    []siprec.Stream{{ID: "m", Session: "s", Label: "96", Associate: said("A"), Disassociate: said("B")}},
				Extensions: []siprec.Extension{{"m", "@codec", "x"}, {"m", "x", "1"}},
			},
		},
		{
			"6.8 participant-stream association", `<participantstreamassoc participant_id="p" q="1"><send>m</send><send>n</send><recv>o</recv><associate-time>A</associate-time><disassociate-time>B</disassociate-time><x` + other + `>1</x></participantstreamassoc>`,
			siprec.Document{
				ParticipantStreams: []siprec.ParticipantStream{{Participant: "p", Send: []siprec.StreamID{"m", "n"}, Recv: []siprec.StreamID{"o"}, Associate: said("A"), Disassociate: said("B")}},
				Extensions:         []siprec.Extension{{"p", "participantstreamassoc/@q", "1"}, {"p", "x", "1"}},
			},
		},
		{
			"6.1 recording", `<extensiondata` + other + `><policy>keep</policy></extensiondata><site` + other + `>Lyon</site>`,
			siprec.Document{Extensions: []siprec.Extension{{"", "policy", "keep"}, {"", "site", "Lyon"}}},
		},
	}
	raw := cmp.Comparer(func(a, b siprec.Time) bool { return a.Raw == b.Raw })
	for _, tt := range tests {
		t.Run(tt.section, func(t *testing.T) {
			got := parseDocument(t, xmlDocument("complete", tt.elements))
			got.Warnings = nil
			tt.want.DataMode = siprec.Complete
			if diff := cmp.Diff(&tt.want, got, raw, cmpopts.IgnoreFields(siprec.Document{}, "Raw")); diff != "" {
				t.Errorf("read otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

// TestVersionAndIdentifiers: a later version of the namespace (section 6.11), and one identifier for two elements (6.10).
func TestVersionAndIdentifiers(t *testing.T) {
	d := parseDocument(t, `<recording xmlns="urn:ietf:params:xml:ns:recording:2"><session session_id="x"/><participant participant_id="x"><nameID aor="sip:a@b"/></participant></recording>`)
	for _, want := range []siprec.Warning{siprec.WarnUnknownVersion, siprec.WarnSharedID} {
		if !slices.Contains(d.Warnings, want) {
			t.Errorf("no warning %s: %v", want, d.Warnings)
		}
	}
	if len(d.Sessions) != 1 || len(d.Participants) != 1 {
		t.Errorf("%d sessions, %d participants", len(d.Sessions), len(d.Participants))
	}
	for _, space := range []string{"urn:ietf:params:xml:ns:recording:1", "urn:ietf:params:xml:ns:recording", "urn:ietf:params:xml:ns:siprec"} {
		d := parseDocument(t, `<recording xmlns="`+space+`"><session session_id="x"/><participant participant_id="y"><nameID aor="sip:a@b"/></participant><stream stream_id="z"><label>1</label></stream></recording>`)
		if slices.Contains(d.Warnings, siprec.WarnUnknownVersion) || slices.Contains(d.Warnings, siprec.WarnSharedID) {
			t.Errorf("%s: %v", space, d.Warnings)
		}
	}
}

// TestStateOfSessions follows who was in which session and when, why it ended, and when it was recorded.
func TestStateOfSessions(t *testing.T) {
	m := run(t, []step{
		{
			xmlDocument("complete", session("cs", `<start-time>1</start-time>`), person("alice"), person("bob"), person("dan"), stream("sa", "1"),
				inSession("alice", "cs", began+`<param pname="isfocus"/>`), inSession("bob", "cs", began), sends("alice", "sa"),
				`<sessionrecordingassoc session_id="cs"><associate-time>1</associate-time></sessionrecordingassoc>`),
			"alice bob dan", "alice 1 0-",
		},
		{
			xmlDocument("partial", session("cs2", ""), inSession("bob", "cs2", began), inSession("bob", "cs", ended), inSession("dan", "cs", began)),
			"alice bob dan", "alice 1 0-",
		},
		{
			xmlDocument("partial", session("cs", stop+`<reason cause="200">bye</reason>`), `<sessionrecordingassoc session_id="cs"><disassociate-time>2</disassociate-time></sessionrecordingassoc>`),
			"bob", "alice 1 0-20",
		},
	})
	var got []string
	for _, a := range m.Attendances {
		got = append(got, string(a.Participant)+" "+string(a.Session)+" "+since(a.From)+"-"+since(a.To))
	}
	if diff := cmp.Diff([]string{"alice cs 0-20", "bob cs 0-10", "dan  0-10", "bob cs2 10-", "dan cs 10-20"}, got); diff != "" {
		t.Errorf("attendances: %s", diff)
	}
	if diff := cmp.Diff([]siprec.Capability{{Participant: "alice", Session: "cs", Feature: siprec.Feature{Name: "isfocus"}}}, m.Features); diff != "" {
		t.Errorf("features: %s", diff)
	}
	if diff := cmp.Diff([]siprec.Reason{{Protocol: "SIP", Cause: 200, Text: "bye"}}, m.Sessions[0].Reasons); diff != "" {
		t.Errorf("reasons: %s", diff)
	}
	if r := m.Recordings; len(r) != 1 || r[0].Associate.Raw != "1" || r[0].Disassociate.Raw != "2" {
		t.Errorf("recordings: %+v", r)
	}
}

func TestContentOfAMediaLine(t *testing.T) {
	offer := mustParse(t, "v=0\r\nm=audio 4000 RTP/AVP 0\r\na=content:Main, alt\r\na=content:sl\r\na=label:1\r\n")
	if diff := cmp.Diff([]string{"main", "alt"}, offer.Media[0].Content); diff != "" {
		t.Error(diff)
	}
}

// TestManyAttendances: the time to apply a document does not grow with the square of who is where. The bound is a hundred times what a
// slow machine needs.
func TestManyAttendances(t *testing.T) {
	var m siprec.Metadata
	began := time.Now()
	for s := range siprec.MaxPresences/siprec.MaxParticipants + 8 {
		elements := []string{session(fmt.Sprint("s", s), "")}
		for p := range siprec.MaxParticipants {
			if s == 0 {
				elements = append(elements, person(fmt.Sprint("p", p)))
			}
			elements = append(elements, inSession(fmt.Sprint("p", p), fmt.Sprint("s", s), ""))
		}
		m.Apply(parseDocument(t, xmlDocument("partial", elements...)), at(s))
	}
	if len(m.Attendances) != siprec.MaxPresences || !slices.Contains(m.Warnings, siprec.WarnTooMany) {
		t.Errorf("%d attendances, warnings %v", len(m.Attendances), m.Warnings)
	}
	if d := time.Since(began); d > time.Minute {
		t.Errorf("it took %s", d)
	}
}
