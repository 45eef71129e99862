package recorder

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

const (
	firstMetadata = `<?xml version="1.0"?><recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>complete</datamode>
<session session_id="c2Vzcw=="><sipSessionID>ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2</sipSessionID></session>
<participant participant_id="QWxpY2U="><nameID aor="sip:+33140000001@example.org"><name>Alice</name></nameID></participant>
<participant participant_id="Qm9i"><nameID aor="sip:1001@example.org"><name>Bob</name></nameID></participant>
<stream stream_id="czE=" session_id="c2Vzcw=="><label>1</label></stream><stream stream_id="czI=" session_id="c2Vzcw=="><label>2</label></stream>
<participantsessionassoc participant_id="QWxpY2U=" session_id="c2Vzcw=="/><participantsessionassoc participant_id="Qm9i" session_id="c2Vzcw=="/>
<participantstreamassoc participant_id="QWxpY2U="><send>czE=</send><recv>czI=</recv></participantstreamassoc>
<participantstreamassoc participant_id="Qm9i"><send>czI=</send><recv>czE=</recv></participantstreamassoc></recording>`
	transfer = `<?xml version="1.0"?><recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>partial</datamode>
<participant participant_id="Q2Fyb2w="><nameID aor="sip:1002@example.org"><name>Carol</name></nameID></participant>
<participantsessionassoc participant_id="Qm9i" session_id="c2Vzcw=="><disassociate-time>2026-01-02T03:04:10Z</disassociate-time></participantsessionassoc>
<participantsessionassoc participant_id="Q2Fyb2w=" session_id="c2Vzcw=="/>
<participantstreamassoc participant_id="Q2Fyb2w="><send>czI=</send><recv>czE=</recv></participantstreamassoc></recording>`
)

// TestSidecarGolden pins the stored format: a call with a transfer, a hold and a gap. The files are never regenerated to pass; a
// change of format is a new version. The first is of the version that knew neither other formats nor levels and quality; what it holds is
// still written so.
func TestSidecarGolden(t *testing.T) {
	side, _ := goldenSidecar(t, policy.WAV)
	compareGolden(t, side, "sidecar.golden.json")

	side, plan := goldenSidecar(t, policy.Opus)
	side.rate(&plan)
	levels := media.NewLevels(plan.Encoding, plan.Rate, plan.Channels)
	sound := make([]byte, 2*plan.Samples)
	for i := range sound {
		sound[i] = codec.PCMU.Silence()
		if i%2 == 0 && i < 32000 { // two seconds of channel 0
			sound[i] = 0x20
		}
	}
	if _, err := levels.Write(sound); err != nil {
		t.Fatal(err)
	}
	side.measured(levels.Results())
	side.Audio.Format = policy.Opus
	side.Warnings = append(side.Warnings, missingWarning)
	compareGolden(t, side, "sidecar-levels.golden.json")
}

func compareGolden(t *testing.T, side Sidecar, name string) {
	t.Helper()
	got, err := json.MarshalIndent(side, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("sidecar differs from the golden file %s (-want +got):\n%s", name, diff)
	}
}

func goldenSidecar(t *testing.T, format policy.Format) (Sidecar, media.Plan) {
	t.Helper()
	at := func(ms int) time.Time {
		return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
	}
	period := func(s string) policy.Period {
		p, err := policy.ParsePeriod(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	both := func(active bool) []streamEntry {
		return []streamEntry{{Label: "1", Channel: 0, Active: active}, {Label: "2", Channel: 1, Active: active}}
	}
	h := history{entries: []journalEntry{
		{At: at(0), Metadata: []byte(firstMetadata), Streams: both(true), Begin: &beginEntry{
			ID: "019c0000-0000-7000-8000-000000000001", CallID: "call@src", SRC: "sbc-paris", CallKey: "key", Headers: map[string]string{"X-Queue": "orders"},
			Decision: Decision{Record: true, Class: "orders", Rule: "desk", Reason: "rule", PolicyDigest: "d1", At: at(-5)},
			Class: policy.Class{
				Name: "orders", Purpose: "Proof of orders", LegalBasis: policy.LegalObligation, Mandate: "Art. 16(7)", Retention: period("P5Y"),
				Lock: policy.Compliance, Sample: policy.All, Format: format, KeepMetadata: policy.DefaultKeepMetadata(), Channels: policy.ExternalFirst,
			},
		}},
		{At: at(2000), Streams: both(false), Pause: &pauseEntry{Reason: holdReason}},
		{At: at(3000), Streams: both(true), Resume: true},
		{At: at(5000), Metadata: []byte(transfer)},
		{At: at(10000), End: &endEntry{Cause: siprec.EndBye, Stats: []media.StreamStats{
			{Channel: 0, SSRC: 1, Packets: 450, Bytes: 72000, Placed: 450, FirstArrival: at(40), LastArrival: at(9980)},
			{Channel: 1, SSRC: 2, Packets: 440, Bytes: 70400, Placed: 440, Lost: 10, FirstArrival: at(40), LastArrival: at(9980)},
		}}},
	}}
	plan := media.Plan{Encoding: codec.PCMU, Rate: media.Rate, Channels: 2, Offset: 160, Samples: 79840, Gaps: []media.Gap{
		{Channel: 0, Start: 15840, Samples: 8000, Cause: media.CauseInactive},
		{Channel: 1, Start: 15840, Samples: 8000, Cause: media.CauseInactive},
		{Channel: 1, Start: 40000, Samples: 1600, Cause: media.CauseLost},
	}}
	side := h.sidecar(plan)
	side.Audio.Size, side.Audio.SHA256, side.Audio.SealedSize, side.Audio.SealedSHA256 = 159738, "aa", 160000, "bb"
	return side, plan
}
