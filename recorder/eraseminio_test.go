package recorder_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/storagetest"
)

// newOnMinIO opens a bench on a real service, with an eraser. The clock is ahead of the service's: what is locked there stays locked.
func newOnMinIO(t *testing.T) later {
	t.Helper()
	m := storagetest.StartMinIO(t)
	store := m.NewBucket(t)
	cfg := m.Config
	cfg.Bucket = store.Bucket()
	eraser, err := storage.NewS3Eraser(cfg)
	if err != nil {
		t.Fatal(err)
	}
	clock := &stoppedClock{at: callEnd}
	b := newBenchWith(t, benchParts{
		dir: t.TempDir(), store: store, policyFile: recordAll, run: true, ports: media.Config{Addr: loopback}, clock: clock.now, eraser: eraser,
	})
	return later{b, clock}
}

// TestEraseOnMinIO: on a real service, an erasure of what is locked in GOVERNANCE mode leaves no version and no key; one of what is locked in
// COMPLIANCE mode is refused, and its key stays; a legal hold is set, keeps both away, and is lifted; and what is locked is redacted.
func TestEraseOnMinIO(t *testing.T) {
	l := newOnMinIO(t)
	governance, compliance := training(), obliged()
	governance.Quarantine, compliance.Quarantine = policy.Period{}, policy.Period{}
	id, kept := l.call(governance), l.call(compliance)
	for _, id := range []string{id, kept} {
		l.is(id, catalog.StateLocked)
	}
	l.must(l.hold("a", id))
	l.isHeld(id, true)
	if err := l.archive.RequestErasure(t.Context(), id, "eve", request12); !errors.Is(err, catalog.ErrHeld) {
		t.Errorf("asked for what is held: %v", err)
	}
	l.agree()
	l.must(l.release("a", ""))
	l.isHeld(id, false)

	next, err := l.archive.Redact(t.Context(), id, redactFrom, redactTo, "eve", "a card's number is said")
	l.must(err)
	l.keyIs(id, seal.ErrDestroyed)
	if n := l.objects("rec/training/"); n != 2 {
		t.Errorf("%d versions are there after the redaction", n)
	}
	l.at(callEnd.AddDate(0, 0, 1))
	l.is(next, catalog.StateLocked)

	l.ask(next)
	if row, err := l.approve(next); err != nil || row.State != catalog.StateErased {
		t.Fatalf("it is %s, %v", row.State, err)
	}
	l.keyIs(next, seal.ErrDestroyed)
	if n := l.objects("rec/training/") + l.objects("ana/"); n != 0 {
		t.Errorf("%d versions are left", n)
	}
	if err := l.archive.RequestErasure(t.Context(), kept, "eve", request12); !errors.Is(err, recorder.ErrRefused) || !strings.Contains(err.Error(), mandateText) {
		t.Errorf("asked for what is mandated: %v", err)
	}
	l.keyIs(kept, nil)
	if n := l.objects("rec/orders/"); n != 2 || len(l.sound(kept)) == 0 {
		t.Errorf("of what is mandated %d versions are there", n)
	}
	if n := l.tells(kept, recorder.EventErasureRefused, audit.Done); n != 1 {
		t.Errorf("the refusal is witnessed %d times", n)
	}
	l.agree()
	l.rebuild()
	l.agree()
}
