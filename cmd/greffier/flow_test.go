package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// A flow is what a client does in one recording session, in order, and what must be kept of it. SIPp does it over UDP and TCP,
// siprectest over TLS.
type flow struct {
	name  string
	about string // for who reads the scenario
	steps []step
	want  []kept // by recording, in order of their beginning
}

// How a step says something to the server.
const (
	invite   = "INVITE"
	reinvite = "re-INVITE"
	update   = "UPDATE"
	bye      = "BYE"
	vanish   = "nothing" // the client dies
)

// A step is one request and what is heard after its answer.
type step struct {
	how     string
	lines   []siprec.Direction // of the two m-lines; nil: no session description
	zero    bool               // the address in it is 0.0.0.0
	doc     *siprectest.Metadata
	headers []siprectest.Header
	status  int    // of the answer; 0: 200
	answer  string // pattern of a header line that the answer must have

	hush  bool // nothing is sent for a moment before the request
	tones tones
	wait  time.Duration // after the answer
}

// Tones are what is heard on each m-line, in Hz; 0: no packet is sent.
type tones [2]int

// phase is how long a step's tones are heard: four bursts and more.
const phase = 1300 * time.Millisecond

// hushTime is how long nothing is sent before a request with hush.
const hushTime = 150 * time.Millisecond

var (
	both   = []siprec.Direction{siprec.SendOnly, siprec.SendOnly}
	none   = []siprec.Direction{siprec.Inactive, siprec.Inactive}
	second = []siprec.Direction{siprec.Inactive, siprec.SendOnly}
)

// A kept is what a recording must be.
type kept struct {
	cause    siprec.EndCause // default: bye
	channels [2]keptChannel
	docs     int              // metadata documents
	pauses   int              // each about a phase long
	gaps     [2][]media.Cause // on each channel, the long ones in order
	warnings []string
	maybe    string            // a warning that may be there or not
	names    map[string]string // of participants by address: those who are known by another at the end
}

// A keptChannel is what is on a channel.
type keptChannel struct {
	tones []int // one after the other
	mixed bool
	who   []presence
}

// A presence is a participant who sent the channel's stream from the arrival of one document to that of another.
type presence struct {
	aor      string
	from, to int
}

// atEnd stands for the recording's end in a presence.
const atEnd = -1

// callID is how the flow is found: clients use it as Call-ID and in the metadata.
func (f flow) callID(transport string) string { return "flow-" + f.name + "-" + transport }

// callIDWord stands for the call's identifier in a document. It is SIPp's word for it.
const callIDWord = "[call_id]"

// document writes metadata for a call.
func document(m *siprectest.Metadata, callID string) []byte {
	return bytes.ReplaceAll(m.Marshal(), []byte(callIDWord), []byte(callID))
}

// all lists the tones of a flow, as Detect wants them.
func (f flow) all() (hz []float64) {
	for _, s := range f.steps {
		for _, tone := range s.tones {
			if tone != 0 && !slices.Contains(hz, float64(tone)) {
				hz = append(hz, float64(tone))
			}
		}
	}
	return hz
}

// A phased is a source whose tone can be changed while it is played: bursts like those that SIPp plays, over a faint hiss, which
// tells them from the silence that is not sent.
type phased struct{ tone atomic.Int64 }

func (p *phased) Read(dst []int16, pos int64) int {
	tone := int(p.tone.Load())
	if tone == 0 {
		clear(dst)
		return len(dst)
	}
	toneBursts(tone).Read(dst, pos)
	for i := range dst {
		dst[i] += hiss * int16((pos+int64(i))%2)
	}
	return len(dst)
}

// hiss is loud enough to be sent, and too faint to be a tone.
const hiss = 200

// toneBursts is how a tone is played by everybody.
func toneBursts(hz int) *siprectest.BurstSource {
	return siprectest.Bursts(float64(hz), 250*time.Millisecond, 120*time.Millisecond)
}

// play does the flow with siprectest.
func (f flow) play(ctx context.Context, src *siprectest.Client, callID string) (err error) {
	var sources [2]phased
	spec := siprectest.CallSpec{CallID: callID, Streams: make([]siprectest.StreamSpec, 2)}
	for i := range spec.Streams {
		spec.Streams[i] = siprectest.StreamSpec{Source: &sources[i], IgnoreDirection: true, Script: siprectest.Script{DTX: true}}
	}
	var call *siprectest.Call
	for i, s := range f.steps {
		if s.hush {
			hear(&sources, tones{})
			if err := pass(ctx, hushTime); err != nil {
				return err
			}
		}
		change := siprectest.Change{Headers: s.headers, NoSDP: s.lines == nil, ZeroAddr: s.zero}
		if s.doc != nil {
			change.RawMetadata = document(s.doc, callID)
		}
		if s.lines != nil {
			change.Directions = map[siprec.Label]siprec.Direction{"1": s.lines[0], "2": s.lines[1]}
		}
		switch s.how {
		case invite:
			for i := range spec.Streams {
				spec.Streams[i].Direction = s.lines[i]
			}
			spec.RawMetadata, spec.Headers = change.RawMetadata, s.headers
			call, err = src.Invite(ctx, spec)
		case reinvite:
			_, err = call.ReInvite(ctx, change)
		case update:
			_, err = call.Update(ctx, change)
		case bye:
			contentType := ""
			if change.RawMetadata != nil {
				contentType = "application/rs-metadata+xml"
			}
			return call.ByeRaw(ctx, contentType, change.RawMetadata)
		case vanish:
			call.Abandon()
			return nil
		}
		if s.status != 0 {
			if got := siprectest.Status(err); got != s.status {
				return fmt.Errorf("step %d: %s was answered with %d (%v), want %d %s", i, s.how, got, err, s.status, http.StatusText(s.status))
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		hear(&sources, s.tones)
		if err := pass(ctx, s.wait); err != nil {
			return err
		}
	}
	return nil
}

func hear(sources *[2]phased, t tones) {
	for i := range sources {
		sources[i].tone.Store(int64(t[i]))
	}
}

func pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lostAfter is how long a client may be silent and without an answer, at most, before it counts as lost: Timer F (RFC 3261 section
// 17.1.2.2), and some seconds more.
const lostAfter = 45 * time.Second

// check compares a flow's recordings with what must be kept.
func (f flow) check(t *testing.T, dir, callID string) {
	t.Helper()
	var rows []listedRecording
	eventually(t, "recordings locked", lostAfter+30*time.Second, func() bool {
		rows = list(t, dir, "--call-id", callID, "--state", "locked")
		return len(rows) >= len(f.want)
	})
	if len(rows) != len(f.want) {
		t.Fatalf("%d recordings, want %d", len(rows), len(f.want))
	}
	slices.SortFunc(rows, func(a, b listedRecording) int { return a.StartedAt.Compare(b.StartedAt) })
	for i, want := range f.want {
		want.check(t, dir, rows[i], f.all())
	}
}

// near is how far an instant of a sidecar may be from another that means the same.
const near = 60

func (k kept) check(t *testing.T, dir string, r listedRecording, hz []float64) {
	t.Helper()
	side := sidecarOf(t, dir, r.ID)
	cause := k.cause
	if cause == "" {
		cause = siprec.EndBye
	}
	if side.Session.EndCause != cause || r.EndCause != string(cause) {
		t.Errorf("ended by %s, in the catalog by %s, want %s", side.Session.EndCause, r.EndCause, cause)
	}
	if len(side.Metadata) != k.docs {
		t.Fatalf("%d metadata documents, want %d", len(side.Metadata), k.docs)
	}
	at := func(doc int) int64 {
		if doc == atEnd {
			return side.Session.DurationMS
		}
		return max(0, side.Metadata[doc].At.Sub(side.Session.StartedAt).Milliseconds())
	}
	aors := map[siprec.ParticipantID]string{}
	for _, p := range side.Participants {
		aors[p.ID] = p.AOR
		if want, ok := k.names[p.AOR]; ok && p.Name != want {
			t.Errorf("%s is called %q, want %q", p.AOR, p.Name, want)
		}
	}
	channels, rate := play(t, dir, r.ID)
	if len(side.Channels) != len(k.channels) || len(channels) != len(k.channels) {
		t.Fatalf("%d channels, %d in the sidecar", len(channels), len(side.Channels))
	}
	for i, want := range k.channels {
		c := side.Channels[i]
		if string(c.Label) != fmt.Sprint(i+1) || c.Mixed != want.mixed {
			t.Errorf("channel %d is label %s, mixed %v", i, c.Label, c.Mixed)
		}
		k.checkTones(t, i, siprectest.Detect(channels[i], rate, hz...), want.tones)
		ok := len(c.Participants) == len(want.who)
		for j := range min(len(c.Participants), len(want.who)) {
			got, w := c.Participants[j], want.who[j]
			ok = ok && aors[got.Participant] == w.aor && within(got.FromMS, at(w.from), near) && within(got.ToMS, at(w.to), near)
		}
		if !ok {
			var said []string
			for _, p := range c.Participants {
				said = append(said, fmt.Sprintf("%s %d-%d ms", aors[p.Participant], p.FromMS, p.ToMS))
			}
			for _, p := range want.who {
				said = append(said, fmt.Sprintf("want %s %d-%d ms", p.aor, at(p.from), at(p.to)))
			}
			t.Errorf("channel %d: %s", i, strings.Join(said, "; "))
		}
	}
	k.checkGaps(t, side)
	if got := slices.DeleteFunc(side.Warnings, func(w string) bool { return w == k.maybe }); !slices.Equal(got, k.warnings) {
		t.Errorf("warnings %q, want %q", got, k.warnings)
	}
}

// notSent is the cause of a gap in which the client sent nothing. SIPp begins a capture as a new source, which leaves open whether
// something was lost in between; then the gap says lost.
const notSent = media.CauseSuppressed

// longGap is longer than what a step from one tone to the next costs, and shorter than a phase.
const longGap = phase / 2

func (k kept) checkGaps(t *testing.T, side recorder.Sidecar) {
	t.Helper()
	for channel, want := range k.gaps {
		var got []media.Cause
		for _, g := range side.Gaps {
			edge := g.Cause == media.CauseNotStarted || g.Cause == media.CauseEnded // how slow a client is shows there
			if g.Channel == channel && !edge && g.DurationMS >= float64(longGap.Milliseconds()) {
				got = append(got, cmp.Or(map[media.Cause]media.Cause{media.CauseLost: notSent}[g.Cause], g.Cause))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("channel %d: gaps %v, want %v; all: %v", channel, got, want, side.Gaps)
		}
	}
	if len(side.Pauses) != k.pauses {
		t.Errorf("pauses %+v, want %d", side.Pauses, k.pauses)
	}
	for _, p := range side.Pauses {
		if d := time.Duration(p.ToMS-p.FromMS) * time.Millisecond; d < longGap || d > 2*phase || p.Reason != "hold" {
			t.Errorf("pause of %s, reason %q", d, p.Reason)
		}
	}
}

func within(a, b, tolerance int64) bool { return max(a-b, b-a) <= tolerance }

// checkTones expects the tones one after the other and none else, each for some bursts.
func (k kept) checkTones(t *testing.T, channel int, found []siprectest.Onset, want []int) {
	t.Helper()
	var got []int
	times := map[int]int{}
	for _, o := range found {
		hz := int(o.Frequency)
		times[hz]++
		if len(got) == 0 || got[len(got)-1] != hz {
			got = append(got, hz)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("channel %d: tones %v, want %v", channel, got, want)
	}
	for hz, n := range times {
		if n < 3 {
			t.Errorf("channel %d: %d bursts of %d Hz", channel, n, hz)
		}
	}
}
