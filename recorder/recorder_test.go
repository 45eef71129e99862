package recorder_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/storagetest"
)

const recordAll = "../testdata/policies/record-all.yaml"

// TestStoreFaults: whatever write to the store fails, once, done or not, the recording is locked in the end, once.
func TestStoreFaults(t *testing.T) {
	for _, op := range []storagetest.Op{storagetest.OpPut, storagetest.OpLock} {
		for _, suffix := range []string{"recording.wav.age", "recording.json.age"} {
			for _, effect := range []storagetest.Effect{storagetest.NotDone, storagetest.DoneButLost} {
				fault := storagetest.Fault{Op: op, Suffix: suffix, Effect: effect}
				t.Run(strings.ReplaceAll(fault.String(), " ", "-"), func(t *testing.T) {
					t.Parallel()
					store := newFake(t)
					store.Script(fault)
					b := newBench(t, t.TempDir(), store, recordAll, true)
					b.record("call")
					b.locked(1)
					if left := store.Pending(); len(left) != 0 {
						t.Errorf("the fault was never met: %v", left)
					}
					b.agree()
				})
			}
		}
	}
}

// TestSpoolOutlivesTheProcess: a recording that was ended, and one that was not, are finished by the next process.
func TestSpoolOutlivesTheProcess(t *testing.T) {
	dir, store := t.TempDir(), newFake(t)
	first := newBench(t, dir, store, recordAll, false)
	first.record("ended")
	in := invitation("open")
	answer, err := first.Begin(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	say(t, answer.Media[0].Port, 1, 25, 0x20)
	first.stop()

	second := newBench(t, dir, store, recordAll, true)
	causes := map[siprec.EndCause]int{}
	for _, r := range second.locked(2) {
		causes[r.EndCause]++
	}
	if causes[siprec.EndBye] != 1 || causes[siprec.EndRestart] != 1 {
		t.Errorf("end causes %v", causes)
	}
	second.agree()
}

// TestAbandonedIsForgotten: a session whose INVITE a crash left unanswered is removed from everywhere, however often that fails.
func TestAbandonedIsForgotten(t *testing.T) {
	const id = "01a20af8-b960-7270-baf6-25f4399a1212"
	dir, store := t.TempDir(), newFake(t)
	first := newBench(t, dir, store, recordAll, false)
	key, err := first.archive.Keys.Create(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	writer, err := first.spool.Create(id, key.SpoolKey())
	if err != nil {
		t.Fatal(err)
	}
	row := catalog.Recording{ID: id, State: catalog.StateRecording, StartedAt: time.Now()}
	if err := errors.Join(writer.Close(), first.archive.Catalog.Put(t.Context(), row), first.archive.Catalog.Close()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- first.Run(ctx) }()
	if err := first.Settle(t.Context()); err != nil { // one attempt, which fails: the catalog is closed
		t.Fatal(err)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	first.stop()

	second := newBench(t, dir, store, recordAll, true)
	if err := second.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if row, err := second.archive.Catalog.Get(t.Context(), id); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("the catalog has %s as %q: %v", id, row.State, err)
	}
	if ids, err := second.spool.List(); err != nil || len(ids) != 0 {
		t.Errorf("the spool holds %v: %v", ids, err)
	}
	if _, err := second.archive.Keys.Get(t.Context(), id); !errors.Is(err, seal.ErrDestroyed) {
		t.Errorf("the key: %v, want %v", err, seal.ErrDestroyed)
	}
	second.agree()
}

// TestNotRecordedLeavesNothing: no key, no spool file, no object; the decision is kept, the parties are hashes.
func TestNotRecordedLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile(recordAll)
	if err != nil {
		t.Fatal(err)
	}
	policyFile := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policyFile, []byte(strings.Replace(string(text), "sample: 100%", "sample: 0.0000001%", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	store := newFake(t)
	b := newBench(t, dir, store, policyFile, true)
	in := invitation("call")
	answer, err := b.Begin(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range answer.Media {
		if m.Direction != siprec.Inactive || m.Port == 0 {
			t.Errorf("answer %d: %s on port %d", i, m.Direction, m.Port)
		}
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
	rows, err := b.archive.Catalog.List(t.Context(), catalog.Query{})
	if err != nil || len(rows) != 1 || rows[0].State != catalog.StateNotRecorded || rows[0].EndedAt.IsZero() {
		t.Fatalf("catalog has %+v, %v", rows, err)
	}
	if calls := store.Calls(); len(calls) != 0 {
		t.Errorf("the store was written to: %v", calls)
	}
	for id, err := range b.archive.Keys.List(t.Context()) {
		t.Errorf("a key of %s, %v", id, err)
	}
	b.agree()
}

// TestRefusals: an offer without a format that we decode is refused, and leaves nothing.
func TestRefusals(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), recordAll, true)
	in := invitation("call")
	for i := range in.Offer.Media {
		in.Offer.Media[i].Formats = []siprec.Format{{PayloadType: 18, Encoding: "G729", ClockRate: 8000, Channels: 1}}
	}
	_, err := b.Begin(t.Context(), in)
	var refusal *siprec.Refusal
	if !errors.As(err, &refusal) || refusal.Kind != siprec.NoMedia {
		t.Errorf("begin: %v, want a refusal for want of media", err)
	}
	rows, err := b.archive.Catalog.List(context.Background(), catalog.Query{})
	if err != nil || len(rows) != 0 {
		t.Errorf("catalog has %v, %v", rows, err)
	}
}

// TestOneUsableLine: an m-line that we cannot decode is refused by port 0, the other is recorded.
func TestOneUsableLine(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), recordAll, true)
	in := invitation("call")
	in.Offer.Media[0].Formats = []siprec.Format{{PayloadType: 18, Encoding: "G729", ClockRate: 8000, Channels: 1}}
	answer, err := b.Begin(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Media[0].Port != 0 || answer.Media[1].Port == 0 || answer.Media[1].Direction != siprec.RecvOnly {
		t.Errorf("answer %+v", answer.Media)
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
}

// TestHoldWithoutPorts: a re-INVITE holds both streams and adds a third, for which no port is free. It is refused, and the
// hold is made all the same; the next re-INVITE works.
func TestHoldWithoutPorts(t *testing.T) {
	const low = 17400 // two pairs, for two streams
	b := newBenchOn(t, t.TempDir(), newFake(t), recordAll, true, media.Config{Addr: loopback, PortMin: low, PortMax: low + 3})
	in := invitation("call")
	answer, err := b.Begin(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	offer := func(direction siprec.Direction, labels ...siprec.Label) *siprec.Offer {
		o := &siprec.Offer{}
		for _, label := range labels {
			m := in.Offer.Media[0]
			m.Label, m.Direction = label, direction
			o.Media = append(o.Media, m)
		}
		return o
	}
	held := offer(siprec.Inactive, "1", "2")
	held.Media = append(held.Media, offer(siprec.SendOnly, "3").Media...)
	if _, err := b.Update(t.Context(), in.Dialog, siprec.Change{Offer: held, At: time.Now()}); err == nil {
		t.Fatal("a third stream was opened on two pairs of ports")
	}
	for i, m := range answer.Media {
		say(t, m.Port, uint32(i+1), 25, 0x20)
	}
	again, err := b.Update(t.Context(), in.Dialog, siprec.Change{Offer: offer(siprec.SendOnly, "1", "2"), At: time.Now()})
	if err != nil || again.Media[0].Direction != siprec.RecvOnly {
		t.Fatalf("the next re-INVITE: %+v, %v", again.Media, err)
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
	if got := b.Totals(); got.Placed != 0 || got.Packets+got.Discarded == 0 || got.Discarded == 0 {
		t.Errorf("while on hold %d packets were discarded, %d placed", got.Discarded, got.Placed)
	}
	b.locked(1)
	b.agree()
}
