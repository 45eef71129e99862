package recorder_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media/wav"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/storagetest"
)

// The span that is redacted of the made calls, of ten seconds. It ends between two samples.
const (
	redactFrom = 2*time.Second + 500*time.Millisecond
	redactTo   = 4*time.Second + 62*time.Microsecond
	firstOut   = 20000
	lastOut    = 32001 // the first sample that is heard again
)

// linear reads the samples of a stored file: of a WAVE file by our reader, of others by another program.
func linear(t *testing.T, format policy.Format, file []byte) [][]int16 {
	t.Helper()
	if format != policy.WAV {
		cmd := exec.Command("ffmpeg", "-v", "error", "-i", "-", "-f", "wav", "-")
		cmd.Stdin = bytes.NewReader(file)
		var err error
		if file, err = cmd.Output(); err != nil {
			t.Fatalf("ffmpeg, which this test needs: %v", err)
		}
	}
	_, channels, err := wav.ReadSamples(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return channels
}

// TestR09Redact: a span of both channels is silent in a recording that takes the original's place, everything else is as it was, and the
// original is destroyed: its key, its objects, its documents.
func TestR09Redact(t *testing.T) {
	for _, format := range []policy.Format{policy.WAV, policy.FLAC} {
		t.Run(string(format), func(t *testing.T) {
			onBoth(t, func(t *testing.T, l later) { testRedact(t, l, format) })
		})
	}
}

func testRedact(t *testing.T, l later, format policy.Format) {
	class := training()
	class.Format = format
	id := l.call(class, "payment-suspected")
	before := linear(t, format, l.sound(id))
	_, old, err := l.archive.Show(t.Context(), id, "test")
	if err != nil {
		t.Fatal(err)
	}
	next, err := l.archive.Redact(t.Context(), id, redactFrom, redactTo, "eve", "a card's number is said")
	if err != nil {
		t.Fatal(err)
	}
	after := linear(t, format, l.sound(next))
	for c := range before {
		if len(after[c]) != len(before[c]) || len(after[c]) != 80000 {
			t.Fatalf("channel %d has %d samples, had %d", c, len(after[c]), len(before[c]))
		}
		for i, v := range after[c] {
			want := before[c][i]
			if i >= firstOut && i < lastOut {
				want = 0
			}
			if v != want {
				t.Fatalf("sample %d of channel %d is %d, want %d", i, c, v, want)
			}
		}
	}
	row, side, err := l.archive.Show(t.Context(), next, "test")
	if err != nil {
		t.Fatal(err)
	}
	if side.Redacts != id || side.ID != next || side.Audio.SHA256 == old.Audio.SHA256 || side.Audio.SHA256 != row.Audio.PlainSHA256 || side.Audio.Format != format {
		t.Errorf("the sidecar is %+v", side)
	}
	if len(side.Gaps) != 2 || side.Gaps[0].Channel != 0 || side.Gaps[1].Channel != 1 || side.Gaps[0].Cause != "redacted" || side.Gaps[0].StartMS != 2500 || side.Gaps[1].DurationMS != 1500.125 {
		t.Errorf("the gaps are %+v", side.Gaps)
	}
	if row.Gaps.Count != 0 || !row.RetainUntil.Equal(old.Session.EndedAt.AddDate(0, 6, -2).Truncate(time.Second).Add(time.Second)) || row.State != catalog.StateStored {
		t.Errorf("the row is %+v", row)
	}
	for c := range side.Channels {
		before, now := old.Channels[c].Levels, side.Channels[c].Levels
		if math.Abs(now.Silence-0.15) > 0.01 || before.Silence != 0 || now.RMS >= before.RMS {
			t.Errorf("channel %d has levels %+v, had %+v", c, now, before)
		}
		if wave := side.Waveform.Channels[c]; wave[55] != 0 || wave[45] == 0 || wave[85] == 0 {
			t.Errorf("the waveform of channel %d shows the span: %v", c, wave)
		}
	}
	if len(side.Participants) != 2 || side.Participants[0].Name != "Ada Customer" || len(side.Metadata) != 1 {
		t.Errorf("the new one knows of %+v", side.Participants)
	}
	l.keyIs(id, seal.ErrDestroyed)
	l.is(id, catalog.StateDestroyed)
	if gone := l.row(id); gone.Gone.Reason != "redacted" || gone.Sidecar.Key != "" {
		t.Errorf("the original's row is %+v", gone)
	}
	if n := l.objects("rec/"); n != 2 {
		t.Errorf("%d objects are in the store", n)
	}
	if _, err := l.archive.Play(t.Context(), id, "test", "", ""); !errors.Is(err, recorder.ErrNotPlayable) || !strings.Contains(err.Error(), "redacted") {
		t.Errorf("the original plays: %v", err)
	}
	for _, typ := range []string{recorder.EventRedacted, recorder.EventDestroyed} {
		if a, b := l.tells(id, typ, audit.Intended), l.tells(id, typ, audit.Done); a != 1 || b != 1 {
			t.Errorf("%s: intended %d times, done %d times", typ, a, b)
		}
	}
	if left, err := filepath.Glob(filepath.Join(l.dir, "spool", "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left in the spool: %v, %v", left, err)
	}
	l.agree()
	l.rebuild()
	l.agree()
	l.at(callEnd.AddDate(0, 0, 2)) // the new one is suspected, too: whoever redacted it says that nothing is left
	l.is(next, catalog.StateStored)
	if err := l.archive.Release(t.Context(), next, "eve", "the number is silent"); err != nil {
		t.Fatal(err)
	}
	l.at(callEnd.AddDate(0, 0, 3))
	l.is(next, catalog.StateLocked)
	l.agree()
}

// TestRedactFails: whatever call of the store fails, done or not, there is either the original, and nothing else, or the new one.
func TestRedactFails(t *testing.T) {
	for _, x := range []struct {
		fault storagetest.Fault
		done  bool // the new one is there in the end
	}{
		{storagetest.Fault{Op: storagetest.OpOpen, Suffix: "recording.wav.age", Effect: storagetest.NotDone}, false},
		{storagetest.Fault{Op: storagetest.OpPut, Suffix: "recording.json.age", Effect: storagetest.NotDone}, false},
		{storagetest.Fault{Op: storagetest.OpPut, Suffix: "recording.json.age", Effect: storagetest.DoneButLost}, false},
		{storagetest.Fault{Op: storagetest.OpPut, Suffix: "recording.wav.age", Effect: storagetest.NotDone}, false},
		{storagetest.Fault{Op: storagetest.OpPut, Suffix: "recording.wav.age", Effect: storagetest.DoneButLost}, false},
		{storagetest.Fault{Op: storagetest.OpDelete, Suffix: "recording.wav.age", Effect: storagetest.NotDone}, true},
		{storagetest.Fault{Op: storagetest.OpDelete, Suffix: "recording.json.age", Effect: storagetest.DoneButLost}, true},
	} {
		for _, again := range []bool{false, true} { // what undoes it fails, too
			if again && (x.done || x.fault.Effect == storagetest.NotDone) {
				continue
			}
			name := strings.ReplaceAll(x.fault.String(), " ", "-")
			if again {
				name += "-and-its-undoing"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				l := newLater(t)
				id := l.call(training())
				l.store.Script(x.fault)
				if again {
					l.store.Script(storagetest.Fault{Op: storagetest.OpDelete, Effect: storagetest.NotDone})
				}
				next, err := l.archive.Redact(t.Context(), id, redactFrom, redactTo, "eve", "why")
				if err == nil || (next != "") != x.done {
					t.Fatalf("redacted to %q, %v", next, err)
				}
				l.agree()
				l.stop()
				l2 := newLaterOn(t, l.dir, l.store, l.clock)
				l2.at(callEnd.Add(2 * time.Hour))
				if n := l2.objects("rec/"); n != 2 {
					t.Errorf("%d objects are in the store", n)
				}
				if x.done {
					l2.is(id, catalog.StateDestroyed)
					l2.is(next, catalog.StateStored)
				} else {
					l2.is(id, catalog.StateStored)
					l2.sound(id)
				}
				if rows, err := l2.archive.Catalog.List(t.Context(), catalog.Query{State: catalog.StateStored}); err != nil || len(rows) != 1 {
					t.Errorf("%d recordings are stored, %v", len(rows), err)
				}
				l2.agree()
				l2.rebuild()
				l2.agree()
				l2.at(callEnd.AddDate(0, 0, 2))
				if rows, err := l2.archive.Catalog.List(t.Context(), catalog.Query{State: catalog.StateLocked}); err != nil || len(rows) != 1 {
					t.Errorf("%d recordings are locked in the end, %v", len(rows), err)
				}
				l2.agree()
			})
		}
	}
}

// TestRedactIsCut: an operator who interrupts it leaves the original, and nothing else.
func TestRedactIsCut(t *testing.T) {
	l := newLater(t)
	id := l.call(training())
	ctx, cancel := context.WithCancel(t.Context())
	l.store.Script(storagetest.Fault{Op: storagetest.OpPut, Suffix: "recording.wav.age", Effect: storagetest.Slow, Wait: make(chan struct{})})
	go func() { // ends with the redaction, which is waited for
		for len(l.store.Pending()) > 0 {
			runtime.Gosched()
		}
		cancel()
	}()
	if _, err := l.archive.Redact(ctx, id, redactFrom, redactTo, "eve", "why"); !errors.Is(err, context.Canceled) {
		t.Errorf("redacted: %v", err)
	}
	l.is(id, catalog.StateStored)
	if n := l.objects("rec/"); n != 2 {
		t.Errorf("%d objects are in the store", n)
	}
	l.agree()
	l.at(callEnd.AddDate(0, 0, 1))
	l.is(id, catalog.StateLocked)
	l.agree()
}

// TestRedactRefused: what cannot be redacted says why, and stays as it is.
func TestRedactRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		opus, compliance, noQuarantine := training(), training(), training()
		opus.Format = policy.Opus
		compliance.Lock, compliance.Quarantine = policy.Compliance, policy.Period{}
		noQuarantine.Quarantine = policy.Period{}
		plain := l.call(training())
		for _, x := range []struct {
			id       string
			from, to time.Duration
			why      string
			want     error
			text     string
		}{
			{l.call(opus), 0, time.Second, "why", recorder.ErrRefused, "opus"},
			{l.call(compliance), 0, time.Second, "why", storage.ErrLocked, "nobody can end before 2028-02-29T16:30:01Z"},
			{l.call(noQuarantine), 0, time.Second, "why", storage.ErrLocked, "only who has the right to bypass GOVERNANCE"},
			{plain, time.Second, time.Second, "why", recorder.ErrRefused, "no span"},
			{plain, -time.Second, time.Second, "why", recorder.ErrRefused, "no span"},
			{plain, time.Hour, 2 * time.Hour, "why", recorder.ErrRefused, "only 10s long"},
			{plain, 0, time.Second, " ", recorder.ErrRefused, "say why"},
			{"nobody", 0, time.Second, "why", catalog.ErrNotFound, ""},
		} {
			if _, err := l.archive.Redact(t.Context(), x.id, x.from, x.to, "eve", x.why); !errors.Is(err, x.want) || !strings.Contains(err.Error(), x.text) {
				t.Errorf("redacted: %v, want %v with %q", err, x.want, x.text)
			}
		}
		if ok, err := l.archive.Catalog.Occupy(t.Context(), plain, l.clock.now(), l.clock.now().Add(time.Hour)); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if _, err := l.archive.Redact(t.Context(), plain, 0, time.Second, "eve", "why"); !errors.Is(err, recorder.ErrRefused) {
			t.Errorf("redacted by two: %v", err)
		}
		l.agree()
	})
}
