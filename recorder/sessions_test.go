package recorder

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

const (
	groupedMetadata = `<?xml version="1.0"?><recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>complete</datamode>
<group group_id="Z3JvdXAgZ3JvdXAgZ3JvdXA="><associate-time>2026-01-02T03:04:05Z</associate-time></group>
<session session_id="c2Vzc2lvbiBvbmUgLi4uLg=="><sipSessionID>ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2</sipSessionID><group-ref>Z3JvdXAgZ3JvdXAgZ3JvdXA=</group-ref><start-time>2026-01-02T03:04:00Z</start-time></session>
<participant participant_id="QWxpY2U="><nameID aor="sip:+33140000001@example.org"><name xml:lang="fr">Alice</name></nameID><nameID aor="tel:+33140000001"/></participant>
<participant participant_id="Qm9i"><nameID aor="sip:1001@example.org"><name>Bob</name></nameID></participant>
<stream stream_id="czE=" session_id="c2Vzc2lvbiBvbmUgLi4uLg=="><label>1</label></stream><stream stream_id="czI=" session_id="c2Vzc2lvbiBvbmUgLi4uLg=="><label>2</label></stream>
<sessionrecordingassoc session_id="c2Vzc2lvbiBvbmUgLi4uLg=="><associate-time>2026-01-02T03:04:05Z</associate-time></sessionrecordingassoc>
<participantsessionassoc participant_id="QWxpY2U=" session_id="c2Vzc2lvbiBvbmUgLi4uLg=="/>
<participantsessionassoc participant_id="Qm9i" session_id="c2Vzc2lvbiBvbmUgLi4uLg=="><param pname="isfocus"/><param pname="+sip.rendering" pval="no"/></participantsessionassoc>
<participantstreamassoc participant_id="QWxpY2U="><send>czE=</send></participantstreamassoc>
<participantstreamassoc participant_id="Qm9i"><send>czI=</send></participantstreamassoc></recording>`
	stopped = `<?xml version="1.0"?><recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>partial</datamode>
<session session_id="c2Vzc2lvbiBvbmUgLi4uLg=="><reason cause="200">Call completed</reason><stop-time>2026-01-02T03:04:13Z</stop-time></session>
<sessionrecordingassoc session_id="c2Vzc2lvbiBvbmUgLi4uLg=="><disassociate-time>2026-01-02T03:04:13Z</disassociate-time></sessionrecordingassoc></recording>`
)

// describedSidecar is of a call whose metadata came after its beginning.
func describedSidecar() Sidecar {
	at := func(ms int) time.Time {
		return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
	}
	h := history{entries: []journalEntry{
		{
			At: at(0), Streams: []streamEntry{{Label: "1", Active: true}, {Label: "2", Channel: 1, Active: true}},
			Lines: []lineEntry{{Label: "1", Content: []string{"speaker"}}, {Label: "2"}, {Label: "9"}, {Label: "8", Refused: true}},
			Begin: &beginEntry{
				ID: "019c0000-0000-7000-8000-000000000002", CallID: "dialog@src", SRC: "sbc-paris", CallKey: "dialog@src", Tenant: "blue",
				Headers: map[string]string{"X-Call-Id": "case-1"}, ExternalIDs: []string{"case-1"}, RecordingSession: "019c0000-0000-7000-8000-0000000000ff",
				Decision: Decision{Record: true, Class: "orders", Rule: "desk", Reason: "rule", PolicyDigest: "d1", At: at(-5)},
				Class:    policy.Class{Name: "orders", Sample: policy.All, KeepMetadata: policy.DefaultKeepMetadata()},
			},
		},
		{At: at(2000), Metadata: []byte(groupedMetadata)},
		{At: at(8000), Metadata: []byte(stopped)},
		{At: at(10000), End: &endEntry{Cause: siprec.EndBye}},
	}}
	plan := media.Plan{Encoding: codec.PCMU, Rate: media.Rate, Channels: 2, Offset: 160, Samples: 79840}
	side := h.sidecar(plan)
	h.describe(&side, plan)
	return side
}

// TestSidecarOfSessionsGolden pins what the sidecar says of sessions.
func TestSidecarOfSessionsGolden(t *testing.T) {
	compareGolden(t, describedSidecar(), "sidecar-sessions.golden.json")
}

// TestRelations: a recording's links are those of the call's key, its session and its group, of this recording's session only.
func TestRelations(t *testing.T) {
	w := words{[]byte("0123456789abcdef")}
	hashes := func(ids ...string) (out []string) {
		for _, id := range ids {
			out = append(out, w.hash(id))
		}
		return out
	}
	const pair = "47755a9de7794ba387653f2099600ef2;ab30317f1a784dc48ff824d0d3715d86"
	side := describedSidecar()
	row := w.storedRow(&side, objectData{})
	if row.Conversation != w.hash(pair) || row.CallKeyHash != w.hash("dialog@src") || row.GroupHash != w.hash("Z3JvdXAgZ3JvdXAgZ3JvdXA=") || row.Tenant != "blue" {
		t.Errorf("row %+v", row)
	}
	halves := strings.Split(pair, ";")
	want := hashes(pair, "dialog@src", halves[1], halves[0], "c2Vzc2lvbiBvbmUgLi4uLg==", "Z3JvdXAgZ3JvdXAgZ3JvdXA=")
	if diff := cmp.Diff(want, row.Links); diff != "" {
		t.Errorf("links: %s", diff)
	}
	for _, id := range append(halves, "case-1", "dialog@src") {
		if !strings.Contains(strings.Join(row.CallIDs, " "), id) {
			t.Errorf("%s is not among the identifiers %v", id, row.CallIDs)
		}
	}
	side.Session.CommunicationSession = "another"
	if row := w.storedRow(&side, objectData{}); len(row.Links) != 2 || row.GroupHash != "" {
		t.Errorf("of another session: %+v", row)
	}
	side.Class.KeepMetadata = nil
	if row := w.storedRow(&side, objectData{}); len(row.CallIDs) != 0 {
		t.Errorf("a class that keeps nothing: %v", row.CallIDs)
	}

	older := Sidecar{Session: Session{CallKey: "key"}} // of a version that knew no sessions
	if row := w.storedRow(&older, objectData{}); row.Conversation != w.hash("key") || !cmp.Equal(row.Links, hashes("key")) {
		t.Errorf("an older sidecar: %+v", row)
	}
	var m siprec.Metadata
	d, err := siprec.ParseMetadata([]byte(groupedMetadata))
	if err != nil {
		t.Fatal(err)
	}
	m.Apply(d, time.Now())
	declined := unrecorded("id", decisionData{CallHash: w.hash(pair), relatedData: w.related(false, &m, pair)})
	if !cmp.Equal(declined.Links, hashes(pair, halves[1], halves[0], "c2Vzc2lvbiBvbmUgLi4uLg==", "Z3JvdXAgZ3JvdXAgZ3JvdXA=")) || declined.GroupHash != row.GroupHash {
		t.Errorf("the same call, not recorded: %+v", declined)
	}
	if recorded := w.related(true, &m, pair); len(recorded.Links) != 0 {
		t.Errorf("a decision to record repeats the sidecar: %+v", recorded)
	}
	none := unrecorded("id", decisionData{SRC: "sbc", CallHash: w.hash("key"), Tenant: "blue", RecordingSession: "rs"})
	if none.Conversation != w.hash("key") || none.Tenant != "blue" || none.RecordingSession != "rs" || none.State != catalog.StateNotRecorded {
		t.Errorf("a call that was not recorded: %+v", none)
	}
}

// TestWarningsAreCountedByName: what a document says of itself never becomes the name of a metric's label.
func TestWarningsAreCountedByName(t *testing.T) {
	var got []string
	r := &Recorder{cfg: Config{Observe: func(o Observation) { got = append(got, o.SRC+" "+string(o.Warning)) }}}
	offer, err := siprec.ParseOffer([]byte("v=0\r\nm=audio 4000 RTP/AVP 0\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	r.warned(siprec.Invitation{SRC: "sbc", Offer: offer}, &siprec.Metadata{Warnings: []siprec.Warning{"recording metadata cannot be read: <Alice>", siprec.WarnIllFormed, "another"}})
	if diff := cmp.Diff([]string{"sbc no-metadata", "sbc label-missing", "sbc metadata-unreadable", "sbc ill-formed"}, got); diff != "" {
		t.Error(diff)
	}
}
