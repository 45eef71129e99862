package siprec_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

// Short forms of the elements that the flows are made of.
func xmlDocument(mode string, elements ...string) string {
	return `<?xml version="1.0"?><recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>` + mode + `</datamode>` +
		strings.Join(elements, "") + `</recording>`
}

func session(id, children string) string {
	return `<session session_id="` + id + `">` + children + `</session>`
}

func person(id string) string {
	return `<participant participant_id="` + id + `"><nameID aor="sip:` + id + `@example.com"/></participant>`
}

func stream(id, label string) string {
	return `<stream stream_id="` + id + `" session_id="cs"><label>` + label + `</label></stream>`
}

const (
	began = `<associate-time>2026-03-01T08:00:00Z</associate-time>`
	ended = `<disassociate-time>2026-03-01T08:00:00Z</disassociate-time>`
	stop  = `<stop-time>2026-03-01T08:00:00Z</stop-time>`
)

func inSession(who, session, when string) string {
	return `<participantsessionassoc participant_id="` + who + `" session_id="` + session + `">` + when + `</participantsessionassoc>`
}

func sends(who string, streams ...string) string {
	s := `<participantstreamassoc participant_id="` + who + `">`
	for _, id := range streams {
		s += `<send>` + id + `</send>`
	}
	return s + `</participantstreamassoc>`
}

// A step is a document, and what must be known after it.
type step struct {
	document string
	present  string // who is here, in order
	presence string // who sent what: "alice 1 0-10" (seconds), in order; open ones without end
}

// run applies the steps ten seconds apart, each document twice: the second time nothing may change.
func run(t *testing.T, steps []step) *siprec.Metadata {
	t.Helper()
	var m siprec.Metadata
	for i, s := range steps {
		d := parseDocument(t, s.document)
		before := m
		untouched := fmt.Sprintf("%+v", before)
		m.Apply(d, at(10*i))
		if fmt.Sprintf("%+v", before) != untouched {
			t.Errorf("step %d changed a copy that was made before", i)
		}
		once := m
		m.Apply(d, at(10*i+5))
		if diff := cmp.Diff(once, m); diff != "" {
			t.Errorf("step %d: the same document again changes something:\n%s", i, diff)
		}
		if diff := cmp.Diff(s.present, presentIDs(&m)); diff != "" {
			t.Errorf("step %d: present: %s", i, diff)
		}
		if diff := cmp.Diff(strings.Split(s.presence, ", "), strings.Split(presences(&m), ", ")); diff != "" {
			t.Errorf("step %d: presences: %s", i, diff)
		}
	}
	return &m
}

func presentIDs(m *siprec.Metadata) string {
	var ids []string
	for _, p := range m.Present() {
		ids = append(ids, string(p.ID))
	}
	return strings.Join(ids, " ")
}

func presences(m *siprec.Metadata) string {
	var out []string
	for _, p := range m.Presences {
		out = append(out, fmt.Sprintf("%s %s %s-%s", p.Participant, p.Label, since(p.From), since(p.To)))
	}
	return strings.Join(out, ", ")
}

var twoParties = xmlDocument("complete", session("cs", ""), person("alice"), person("bob"), stream("sa", "1"), stream("sb", "2"),
	inSession("alice", "cs", began), inSession("bob", "cs", began), sends("alice", "sa"), sends("bob", "sb"))

// TestFlows follows the call flows of RFC 8068 section 3, and those of dialects without associations.
func TestFlows(t *testing.T) {
	const both = "alice 1 0-, bob 2 0-"
	party := func(id, sends string) string {
		return `<participant id="` + id + `" session="cs"><aor>` + id + `@example.com</aor>` + sends + `</participant>`
	}
	mixed := `<stream id="sm" session="cs"><label>1</label><mode>mixed</mode></stream>`
	sendMixed := `<send><id>sm</id></send>`
	flows := []struct {
		name  string
		steps []step
	}{
		{"hold and resume (3.2.2)", []step{
			{twoParties, "alice bob", both},
			{xmlDocument("partial", sends("alice"), sends("bob", "sb")), "alice bob", "alice 1 0-10, bob 2 0-"},
			{xmlDocument("partial", sends("alice", "sa"), sends("bob", "sb")), "alice bob", "alice 1 0-10, bob 2 0-, alice 1 20-"},
		}},
		{"transfer inside the session (3.2.3)", []step{
			{twoParties, "alice bob", both},
			{
				xmlDocument("partial", person("carol"), inSession("carol", "cs", began), inSession("alice", "cs", ended),
					sends("bob", "sb"), sends("carol", "sa")),
				"bob carol", "alice 1 0-10, bob 2 0-, carol 1 10-",
			},
		}},
		{"transfer to a new session (3.2.3)", []step{
			{twoParties, "alice bob", both},
			{xmlDocument("partial", session("cs", stop), inSession("alice", "cs", ended), inSession("bob", "cs", ended)), "", "alice 1 0-10, bob 2 0-10"},
			{
				xmlDocument("complete", session("cs2", ""), person("bob"), person("carol"), stream("sc", "1"), stream("sb", "2"),
					inSession("bob", "cs2", began), inSession("carol", "cs2", began), sends("bob", "sb"), sends("carol", "sc")),
				"bob carol", "alice 1 0-10, bob 2 0-10, bob 2 20-, carol 1 20-",
			},
		}},
		{"a session stops without a word on its participants (3.2.3)", []step{
			{twoParties, "alice bob", both},
			{xmlDocument("partial", session("cs", stop)), "", "alice 1 0-10, bob 2 0-10"},
		}},
		{"a session is no longer recorded", []step{
			{twoParties, "alice bob", both},
			{xmlDocument("partial", `<sessionrecordingassoc session_id="cs">`+ended+`</sessionrecordingassoc>`), "", "alice 1 0-10, bob 2 0-10"},
		}},
		{"disconnect (3.2.4)", []step{
			{twoParties, "alice bob", both},
			{xmlDocument("partial", inSession("alice", "cs", ended), inSession("bob", "cs", ended)), "", "alice 1 0-10, bob 2 0-10"},
		}},
		{"mixed stream: hold, join, drop (3.3)", []step{
			{
				xmlDocument("complete", session("cs", ""), person("alice"), person("bob"), stream("sm", "1"),
					inSession("alice", "cs", began), inSession("bob", "cs", began), sends("alice", "sm"), sends("bob", "sm")),
				"alice bob", "alice 1 0-, bob 1 0-",
			},
			{xmlDocument("partial", stream("sm", "1"), sends("alice"), sends("bob", "sm")), "alice bob", "alice 1 0-10, bob 1 0-"},
			{xmlDocument("partial", stream("sm", "1"), sends("alice", "sm")), "alice bob", "alice 1 0-10, bob 1 0-, alice 1 20-"},
			{
				xmlDocument("partial", person("carol"), inSession("carol", "cs", began), sends("carol", "sm")),
				"alice bob carol", "alice 1 0-10, bob 1 0-, alice 1 20-, carol 1 30-",
			},
			{xmlDocument("partial", inSession("alice", "cs", ended)), "bob carol", "alice 1 0-10, bob 1 0-, alice 1 20-40, carol 1 30-"},
		}},
		{"one party in two sessions (3.5)", []step{
			{
				xmlDocument("complete", session("cs", ""), session("cs2", ""), person("alice"), person("bob"), stream("sm", "1"),
					inSession("alice", "cs", began), inSession("bob", "cs", began), inSession("bob", "cs2", began), sends("alice", "sm"), sends("bob", "sm")),
				"alice bob", "alice 1 0-, bob 1 0-",
			},
			{xmlDocument("partial", session("cs", stop)), "bob", "alice 1 0-10, bob 1 0-"},
			{xmlDocument("partial", inSession("bob", "cs2", ended)), "", "alice 1 0-10, bob 1 0-20"},
		}},
		{"persistent recording session (3.4)", []step{
			{xmlDocument("complete"), "", ""},
			{twoParties, "alice bob", "alice 1 10-, bob 2 10-"},
			{xmlDocument("partial", session("cs", stop)), "", "alice 1 10-20, bob 2 10-20"},
			{xmlDocument("complete"), "", "alice 1 10-20, bob 2 10-20"},
		}},
		{"a complete document no longer lists somebody", []step{
			{twoParties, "alice bob", both},
			{
				xmlDocument("complete", session("cs", ""), person("bob"), stream("sb", "2"), inSession("bob", "cs", began), sends("bob", "sb")),
				"bob", "alice 1 0-10, bob 2 0-",
			},
			{twoParties, "alice bob", "alice 1 0-10, bob 2 0-, alice 1 20-"},
		}},
		{"a complete document says that somebody left", []step{
			{twoParties, "alice bob", both},
			{
				xmlDocument("complete", session("cs", ""), person("alice"), person("bob"), stream("sa", "1"), stream("sb", "2"),
					inSession("alice", "cs", began), inSession("alice", "cs", ended), inSession("bob", "cs", began), sends("alice", "sa"), sends("bob", "sb")),
				"bob", "alice 1 0-10, bob 2 0-",
			},
		}},
		{"a stream's label changes", []step{
			{twoParties, "alice bob", both},
			{xmlDocument("partial", stream("sa", "7")), "alice bob", "alice 1 0-10, bob 2 0-, alice 7 10-"},
		}},
		{"labels change places", []step{
			{twoParties, "alice bob", both},
			{xmlDocument("partial", stream("sa", "2"), stream("sb", "1")), "alice bob", "alice 1 0-10, bob 2 0-10, alice 2 10-, bob 1 10-"},
		}},
		{"a stream's description comes later", []step{
			{xmlDocument("complete", session("cs", ""), person("alice"), sends("alice", "sa")), "alice", ""},
			{xmlDocument("partial", stream("sa", "1")), "alice", "alice 1 10-"},
		}},
		{"an association with a stream ends", []step{
			{twoParties, "alice bob", both},
			{xmlDocument("partial", `<participantstreamassoc participant_id="alice"><send>sa</send>`+ended+`</participantstreamassoc>`), "alice bob", "alice 1 0-10, bob 2 0-"},
			{xmlDocument("partial", `<participantstreamassoc participant_id="bob">`+ended+`</participantstreamassoc>`), "alice bob", "alice 1 0-10, bob 2 0-20"},
		}},
		{"a stream ends", []step{
			{twoParties, "alice bob", both},
			{xmlDocument("partial", `<stream stream_id="sb">`+ended+`</stream>`), "alice bob", "alice 1 0-, bob 2 0-10"},
		}},
		{"a partial document mentions who has left", []step{
			{twoParties, "alice bob", both},
			{xmlDocument("partial", inSession("alice", "cs", ended)), "bob", "alice 1 0-10, bob 2 0-"},
			{xmlDocument("partial", person("alice"), sends("alice", "sa")), "bob", "alice 1 0-10, bob 2 0-"},
			{xmlDocument("partial", inSession("alice", "cs", began), sends("alice", "sa")), "alice bob", "alice 1 0-10, bob 2 0-, alice 1 30-"},
		}},
		{"an association's time is empty", []step{
			{twoParties, "alice bob", both},
			{xmlDocument("partial", inSession("alice", "cs", "<disassociate-time/>"), session("cs", "<stop-time/>")), "alice bob", both},
		}},
		{"nobody claims the streams", []step{
			{xmlDocument("complete", session("cs", ""), person("alice"), person("bob"), stream("sa", "1"), stream("sb", "2")), "alice bob", ""},
		}},
		{"starts on hold", []step{
			{
				xmlDocument("complete", session("cs", ""), person("alice"), person("bob"), stream("sa", "1"), stream("sb", "2"), sends("alice"), sends("bob")),
				"alice bob", "",
			},
			{twoParties, "alice bob", "alice 1 10-, bob 2 10-"},
		}},
		{"conference without associations", []step{
			{xmlDocument("complete", session("cs", ""), party("alice", sendMixed), party("bob", sendMixed), mixed), "alice bob", "alice 1 0-, bob 1 0-"},
			{
				xmlDocument("complete", session("cs", ""), party("alice", sendMixed), party("bob", sendMixed), party("carol", sendMixed), mixed),
				"alice bob carol", "alice 1 0-, bob 1 0-, carol 1 10-",
			},
			{xmlDocument("partial", party("bob", "")), "alice bob carol", "alice 1 0-, bob 1 0-20, carol 1 10-"},
			{xmlDocument("partial", party("carol", sendMixed+ended)), "alice bob", "alice 1 0-, bob 1 0-20, carol 1 10-30"},
		}},
	}
	for _, tt := range flows {
		t.Run(tt.name, func(t *testing.T) { run(t, tt.steps) })
	}
}

// TestIdentityChanges follows a dialect that keeps the identifier when the party changes: who it was is not forgotten.
func TestIdentityChanges(t *testing.T) {
	document := func(aor string) string {
		return xmlDocument("complete", `<participant participant_id="p"><nameID aor="`+aor+`"/></participant>`, stream("s", "1"), sends("p", "s"))
	}
	m := run(t, []step{
		{document("sip:alice@example.com"), "p", "p 1 0-"},
		{document("sip:carol@example.com"), "p", "p 1 0-10, p 1 10-"},
	})
	if got := []string{m.Presences[0].AOR, m.Presences[1].AOR}; !slices.Equal(got, []string{"sip:alice@example.com", "sip:carol@example.com"}) {
		t.Errorf("presences of %v", got)
	}
	want := []siprec.NameID{{AOR: "sip:carol@example.com"}, {AOR: "sip:alice@example.com"}}
	if diff := cmp.Diff(want, m.Participants[0].Names); diff != "" {
		t.Error(diff)
	}
}

func TestSendersAndMixed(t *testing.T) {
	var m siprec.Metadata
	m.Apply(parseDocument(t, twoParties), t0)
	if got := m.Senders("1"); len(got) != 1 || got[0].ID != "alice" || m.Mixed("1") {
		t.Errorf("senders of 1 are %v, mixed %v", got, m.Mixed("1"))
	}
	m.Apply(parseDocument(t, xmlDocument("partial", sends("bob", "sa"))), at(1))
	if got := m.Senders("1"); len(got) != 2 || !m.Mixed("1") {
		t.Errorf("senders of 1 are %v, mixed %v", got, m.Mixed("1"))
	}
	if got := m.Senders("2"); len(got) != 0 || m.Mixed("2") {
		t.Errorf("senders of 2 are %v, mixed %v", got, m.Mixed("2"))
	}
	m.Apply(parseDocument(t, xmlDocument("partial", `<stream stream_id="sb"><label>2</label><mode>Mixed</mode></stream>`)), at(2))
	if !m.Mixed("2") {
		t.Error("a stream in mode mixed is not mixed")
	}
}

// TestClock: a clock that goes back, or a time that is missing, ends no presence before it began.
func TestClock(t *testing.T) {
	var m siprec.Metadata
	m.Apply(parseDocument(t, twoParties), at(10))
	m.Apply(parseDocument(t, xmlDocument("partial", sends("alice"))), at(3))
	m.Apply(parseDocument(t, xmlDocument("partial", sends("bob"))), time.Time{})
	if got, want := presences(&m), "alice 1 10-10, bob 2 10-10"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var zero siprec.Metadata
	zero.Apply(parseDocument(t, twoParties), time.Time{})
	zero.Apply(parseDocument(t, xmlDocument("complete")), time.Time{})
	if len(zero.Senders("1")) != 0 {
		t.Error("a presence without a time does not end")
	}
}

func TestApplyNothing(t *testing.T) {
	var m siprec.Metadata
	m.Apply(nil, t0)
	if diff := cmp.Diff(siprec.Metadata{}, m); diff != "" {
		t.Error(diff)
	}
	if m.Present() != nil || m.Senders("1") != nil || m.Mixed("1") || m.CallIDs() != nil || m.CallKey("f") != "f" {
		t.Error("the zero value knows something")
	}
}

// TestLimitsOfState: a session that goes on for ever does not grow for ever.
func TestLimitsOfState(t *testing.T) {
	var m siprec.Metadata
	for i := range siprec.MaxParticipants + 10 {
		id := fmt.Sprint("p", i)
		m.Apply(parseDocument(t, xmlDocument("complete", session(id, ""), person(id), stream(id, id), sends(id, id))), at(i))
	}
	if len(m.Participants) != siprec.MaxParticipants || len(m.Streams) != siprec.MaxStreams || len(m.Sessions) != siprec.MaxSessions {
		t.Errorf("%d participants, %d streams, %d sessions", len(m.Participants), len(m.Streams), len(m.Sessions))
	}
	if !slices.Contains(m.Warnings, siprec.WarnTooMany) {
		t.Errorf("warnings %v", m.Warnings)
	}
}

func TestExtensionsNewestLast(t *testing.T) {
	var m siprec.Metadata
	for i, value := range []string{"one", "two", "one"} {
		m.Apply(parseDocument(t, xmlDocument("partial", `<x xmlns="urn:x"><ucid>`+value+`</ucid><flag/></x>`)), at(i))
		if got, ok := m.Extension("x/ucid"); got != value || !ok {
			t.Errorf("after %s: %q %v", value, got, ok)
		}
	}
	if _, ok := m.Extension("y"); ok {
		t.Error("an extension that never came is there")
	}
	if diff := cmp.Diff([]string{"two", "one"}, m.CallIDs()); diff != "" {
		t.Error(diff)
	}
}

// TestLimitsOfIdentity: identities and identifiers that change for ever do not grow for ever.
func TestLimitsOfIdentity(t *testing.T) {
	var m siprec.Metadata
	for i := range siprec.MaxSIPSessionIDs + 10 {
		m.Apply(parseDocument(t, xmlDocument("complete", session("cs", fmt.Sprintf("<sipSessionID>c%d</sipSessionID>", i)),
			fmt.Sprintf(`<participant participant_id="p"><nameID aor="a%d"><name>n</name></nameID></participant>`, i))), at(i))
	}
	if ids := len(m.Sessions[0].SIPSessionIDs); ids != siprec.MaxSIPSessionIDs || m.CallKey("") != "c0" {
		t.Errorf("%d identifiers, key %s", ids, m.CallKey(""))
	}
	p := m.Participants[0]
	if len(p.Names) != siprec.MaxNames || p.AOR() != fmt.Sprint("a", siprec.MaxSIPSessionIDs+9) || p.Name() != "n" {
		t.Errorf("%d names, the first %s", len(p.Names), p.AOR())
	}
	m.Apply(parseDocument(t, xmlDocument("partial", `<participant participant_id="p"><nameID><name>new</name></nameID></participant>`)), at(1000))
	if q := m.Participants[0]; q.Name() != "new" || q.AOR() != p.AOR() {
		t.Errorf("after a new name: %+v", q.Names[0])
	}
}
