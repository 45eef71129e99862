package siprec

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// script reads documents written as "complete: A B- 1=A 2=B; partial: A!": sessions (a minus: with a stop time, an exclamation mark:
// its association has ended, a plus: an association, without the session itself), and labels with their session.
func script(t *testing.T, text string) []*Document {
	t.Helper()
	var out []*Document
	for _, part := range strings.Split(text, ";") {
		mode, words, _ := strings.Cut(strings.TrimSpace(part), ":")
		d := &Document{DataMode: DataMode(mode)}
		for _, w := range strings.Fields(words) {
			label, owner, isStream := strings.Cut(w, "=")
			id := SessionID(strings.TrimRight(w, "-!+"))
			switch {
			case isStream:
				d.Streams = append(d.Streams, Stream{ID: StreamID("s" + label + owner), Label: Label(label), Session: SessionID(owner)})
			case strings.HasSuffix(w, "-"):
				d.Sessions = append(d.Sessions, Session{ID: id, Stop: Time{Raw: "2026-01-01T00:00:00Z"}})
			case strings.HasSuffix(w, "!"):
				d.SessionRecordings = append(d.SessionRecordings, SessionRecording{Session: id, Disassociate: Time{Raw: "2026-01-01T00:00:00Z"}})
			case strings.HasSuffix(w, "+"):
				d.SessionRecordings = append(d.SessionRecordings, SessionRecording{Session: id})
			default:
				d.Sessions = append(d.Sessions, Session{ID: id})
			}
		}
		out = append(out, d)
	}
	return out
}

// TestScopes: which communication sessions go on, and whose labels 1 to 4 are, after each of some documents.
func TestScopes(t *testing.T) {
	for _, c := range []struct{ name, documents, want string }{
		{"nothing said", "complete: ", "[]"},
		{"one", "complete: A 1=A 2=A", "[A] 1=A 2=A 3=A 4=A"},
		{"one, and labels that nobody claims", "complete: A", "[A] 1=A 2=A 3=A 4=A"},
		{"two at once", "complete: A B 1=A 2=A 3=B", "[A B] 1=A 2=A 3=B"},
		{"the next replaces the first", "complete: A 1=A 2=A; complete: B 1=B 2=B", "[B] 1=B 2=B 3=B 4=B"},
		{"a transfer in two steps", "complete: A 1=A 2=A; partial: A-; complete: B 1=B 2=B", "[B] 1=B 2=B 3=B 4=B"},
		{"it stopped", "complete: A 1=A 2=A; partial: A-", "[]"},
		{"its association ended", "complete: A 1=A 2=A; partial: A!", "[]"},
		{"it stopped, and is mentioned", "complete: A 1=A; partial: A-; partial: A", "[]"},
		{"it stopped, and is associated again", "complete: A 1=A; partial: A-; partial: A A+", "[A] 1=A 2=A 3=A 4=A"},
		{"it stopped, and a complete document has it", "complete: A 1=A; partial: A-; complete: A 1=A", "[A] 1=A 2=A 3=A 4=A"},
		{"associated again without description", "complete: A B 1=A 2=B; partial: A!; partial: A+", "[B A] 1=A 2=B"},
		{"a partial document adds one", "complete: A 1=A 2=A; partial: B 3=B", "[A B] 1=A 2=A 3=B"},
		{"a label passes on", "complete: A B 1=A 2=A 3=B; partial: 2=B", "[A B] 1=A 2=B 3=B"},
		{"two claim a label at once", "complete: A B 1=A 1=B 2=B", "[A B] 2=B"},
		{"those that are over claim nothing", "complete: A B 1=A 1=B 2=B; partial: B-", "[A] 1=A 3=A 4=A"},
		{"a label of one that is over, in a complete document", "complete: A B 1=A 2=B; complete: A 1=A", "[A] 1=A 3=A 4=A"},
		{"and the next complete document", "complete: A B 1=A 2=B; partial: B-; complete: A 1=A", "[A] 1=A 2=A 3=A 4=A"},
		{"a label of one that is over is claimed", "complete: A B 1=A 2=B; partial: B-; partial: 2=A", "[A] 1=A 2=A 3=A 4=A"},
		{"a label of one that is over, and then one begins", "complete: A 1=A 2=A; partial: A-; partial: B", "[B] 1=B 2=B 3=B 4=B"},
		{"a complete document without sessions", "complete: A 1=A 2=A; complete: 1= 2=", "[A] 1=A 2=A 3=A 4=A"},
		{"a first document that is over", "complete: A- 1=A", "[A] 1=A 2=A 3=A 4=A"},
		{"a first document, one of two over", "complete: A- B 1=A 2=B", "[B] 1=B 2=B 3=B 4=B"},
		{"begun and ended between two documents", "complete: A 1=A; partial: B- A", "[A] 1=A 2=A 3=A 4=A"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Scopes
			for _, d := range script(t, c.documents) {
				s.Apply(d)
			}
			got := fmt.Sprint(s.Active())
			for _, l := range []Label{"1", "2", "3", "4"} {
				if id, ok := s.Owner(l); ok {
					got += fmt.Sprintf(" %s=%s", l, id)
				}
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestScopesAreBounded: whatever comes, what is remembered has a limit.
func TestScopesAreBounded(t *testing.T) {
	var s Scopes
	for i := range 3 * MaxSessions {
		d := &Document{DataMode: Partial, Sessions: []Session{{ID: SessionID(fmt.Sprint(i))}}}
		if i%2 == 0 {
			d.Sessions[0].Stop.Raw = "now"
		}
		for j := range 8 {
			d.Streams = append(d.Streams, Stream{ID: StreamID(fmt.Sprint(i, j)), Label: "1"})
		}
		s.Apply(d)
	}
	if len(s.active) > MaxSessions || len(s.ended) > MaxSessions || len(s.claims) > MaxStreams {
		t.Errorf("%d go on, %d ended, %d streams", len(s.active), len(s.ended), len(s.claims))
	}
}

const twoSessions = `<recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>complete</datamode>
<group group_id="G"/><group group_id="H"/>
<session session_id="A"><group-ref>G</group-ref></session><session session_id="B"><group-ref>H</group-ref></session>
<participant participant_id="p"><nameID aor="sip:p@x"/><vip xmlns="urn:x">yes</vip></participant>
<participant participant_id="q"><nameID aor="sip:q@x"/><vip xmlns="urn:x">no</vip></participant>
<participant participant_id="r"><nameID aor="sip:r@x"/></participant>
<stream stream_id="1" session_id="A"><label>1</label></stream><stream stream_id="2" session_id="B"><label>2</label></stream>
<participantsessionassoc participant_id="p" session_id="A"/><participantsessionassoc participant_id="q" session_id="B"/>
<participantsessionassoc participant_id="r" session_id="A"/><participantsessionassoc participant_id="r" session_id="B"/>
<queue xmlns="urn:x">sales</queue></recording>`

// TestMetadataOf: of two communication sessions each has its own people, streams, group and extensions; what they share both have.
func TestMetadataOf(t *testing.T) {
	d, err := ParseMetadata([]byte(twoSessions))
	if err != nil {
		t.Fatal(err)
	}
	var m Metadata
	m.Apply(d, time.Unix(1, 0))
	for id, want := range map[SessionID]string{
		"A": "A G p r 1 vip=yes queue=sales", "B": "B H q r 2 vip=no queue=sales", "": "A B G H p q r 1 2 vip=yes vip=no queue=sales",
	} {
		x := m.Of(id)
		var got []string
		for _, s := range x.Sessions {
			got = append(got, string(s.ID))
		}
		for _, g := range x.Groups {
			got = append(got, string(g.ID))
		}
		for _, p := range x.Present() {
			got = append(got, string(p.ID))
		}
		for _, s := range x.Streams {
			got = append(got, string(s.Label))
		}
		for _, e := range x.Extensions {
			got = append(got, e.Name+"="+e.Value)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("of %q: %s, want %s", id, s, want)
		}
	}
}

// TestDoubts: what a document leaves open.
func TestDoubts(t *testing.T) {
	const head = `<recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>partial</datamode>`
	read := func(text string) *Document {
		d, err := ParseMetadata([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	known := Metadata{}
	known.Apply(read(twoSessions), time.Unix(1, 0))
	for _, c := range []struct {
		name string
		m    *Metadata
		d    *Document
		want string
	}{
		{"complete", &Metadata{}, read(twoSessions), "[]"},
		{"partial, of what is known", &known, read(head + `<participantstreamassoc participant_id="p"><send>2</send></participantstreamassoc></recording>`), "[]"},
		{"partial at first", &Metadata{}, read(head + `<session session_id="A"/></recording>`), "[partial-first]"},
		{"unknown participant", &known, read(head + `<participantstreamassoc participant_id="x"><send>2</send></participantstreamassoc></recording>`), "[unknown-participant]"},
		{"unknown stream", &known, read(head + `<participantstreamassoc participant_id="p"><send>7</send></participantstreamassoc></recording>`), "[unknown-stream]"},
		{"unknown session", &known, read(head + `<participantsessionassoc participant_id="p" session_id="Z"/></recording>`), "[unknown-session]"},
		{"unreadable", &known, &Document{DataMode: Partial, Raw: []byte("<x"), Warnings: []Warning{"cannot be read"}}, "[metadata-unreadable]"},
	} {
		if got := fmt.Sprint(c.m.Doubts(c.d)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// FuzzScopes: whatever documents come, an owner is a session that goes on, and a part of the metadata is a part.
func FuzzScopes(f *testing.F) {
	f.Add([]byte(twoSessions), []byte(twoSessions))
	f.Add([]byte(twoSessions), []byte(`<recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>partial</datamode><session session_id="A"><stop-time>2026-01-01T00:00:00Z</stop-time></session></recording>`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var s Scopes
		var m Metadata
		for i, raw := range [][]byte{first, second} {
			d, err := ParseMetadata(raw)
			if err != nil {
				continue
			}
			m.Doubts(d)
			m.Apply(d, time.Unix(int64(i), 0))
			s.Apply(d)
			for _, x := range d.Streams {
				if id, ok := s.Owner(x.Label); ok && !slices.Contains(s.Active(), id) {
					t.Fatalf("label %q belongs to %q, and %q go on", x.Label, id, s.Active())
				}
			}
			for _, id := range s.Active() {
				part := m.Of(id)
				if len(part.Members) > len(m.Members) || len(part.Extensions) > len(m.Extensions) || len(part.Participants) > len(m.Participants) {
					t.Fatalf("the part of %q is larger than the whole", id)
				}
				d.Concerns(id)
				d.Mentions(id)
			}
		}
	})
}
