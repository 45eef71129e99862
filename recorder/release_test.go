package recorder_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
)

// note is a document.
func note(t *testing.T, text string) recorder.Analysis {
	t.Helper()
	d, err := recorder.NewAnalysis(recorder.Note, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestR09SuspectedIsNotLocked: a recording in which a card's number may be is neither locked nor analysed before somebody releases it,
// through a restart and a rebuild of the catalog, with a quarantine and without.
func TestR09SuspectedIsNotLocked(t *testing.T) {
	for name, quarantine := range map[string]policy.Period{"quarantine": {Days: 1}, "none": {}} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, l later) {
				class := training()
				class.Quarantine = quarantine
				id := l.call(class, "payment-suspected")
				l.at(callEnd.AddDate(0, 0, 2))
				l.is(id, catalog.StateStored)
				l.agree()
				if _, err := l.archive.Annotate(t.Context(), id, note(t, "good"), "ada"); !errors.Is(err, recorder.ErrUnderReview) {
					t.Errorf("analysed before its release: %v", err)
				}
				l.rebuild()
				l.at(callEnd.AddDate(0, 0, 3))
				l.is(id, catalog.StateStored)
				if err := l.archive.Release(t.Context(), id, "ada", ""); !errors.Is(err, recorder.ErrRefused) {
					t.Errorf("released without a reason: %v", err)
				}
				for range 2 {
					if err := l.archive.Release(t.Context(), id, "ada", "only the card's name is said"); err != nil {
						t.Fatal(err)
					}
				}
				if n := l.tells(id, recorder.EventReleased, audit.Done); n != 1 {
					t.Errorf("it was released %d times", n)
				}
				l.rebuild()
				l.at(callEnd.AddDate(0, 0, 4))
				l.is(id, catalog.StateLocked)
				if _, err := l.archive.Annotate(t.Context(), id, note(t, "good"), "ada"); err != nil {
					t.Errorf("analysed after its release: %v", err)
				}
				l.agree()
			})
		})
	}
}

// TestReleaseOfOthers: what nothing holds back cannot be released.
func TestReleaseOfOthers(t *testing.T) {
	l := newLater(t)
	id := l.call(training())
	if err := l.archive.Release(t.Context(), id, "ada", "why"); !errors.Is(err, recorder.ErrRefused) {
		t.Errorf("released: %v", err)
	}
	if err := l.archive.Release(t.Context(), "nobody", "ada", "why"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("released: %v", err)
	}
}

// TestR36Proof: a written proof that comes in time destroys the recording of a contract, and no other recording, and not later.
func TestR36Proof(t *testing.T) {
	evidence := training()
	evidence.Name, evidence.Kind = "evidence", policy.Evidence
	evidence.ProofWithin, evidence.Quarantine = policy.Period{Days: 14}, policy.Period{Days: 20}
	locked := evidence
	locked.Quarantine = policy.Period{}
	noTime := evidence
	noTime.ProofWithin = policy.Period{}
	onBoth(t, func(t *testing.T, l later) {
		id := l.call(evidence)
		l.at(callEnd.AddDate(0, 0, 14))
		if err := l.archive.Proven(t.Context(), id, "ada", "contract 4711 was signed"); err != nil {
			t.Fatal(err)
		}
		l.destroyed(id, recorder.DestroyedProof)
		if err := l.archive.Proven(t.Context(), id, "ada", "again"); !errors.Is(err, recorder.ErrNotPlayable) {
			t.Errorf("proven twice: %v", err)
		}
	})
	onBoth(t, func(t *testing.T, l later) {
		late, other, tight, none := l.call(evidence), l.call(training()), l.call(locked), l.call(noTime)
		refused := func(id string, want error, text string) {
			t.Helper()
			if err := l.archive.Proven(t.Context(), id, "ada", "signed"); !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
				t.Errorf("proven: %v, want %v with %q", err, want, text)
			}
		}
		refused(other, recorder.ErrRefused, "not of kind evidence")
		refused(none, recorder.ErrRefused, "proof_within")
		refused(tight, storage.ErrLocked, "until 2028-02-29")
		l.at(callEnd.AddDate(0, 0, 14).Add(time.Second))
		refused(late, recorder.ErrRefused, "had to come before")
		for id, want := range map[string]catalog.State{late: catalog.StateStored, other: catalog.StateLocked, tight: catalog.StateLocked, none: catalog.StateStored} {
			l.is(id, want)
			l.keyIs(id, nil)
		}
		l.agree()
	})
}

// TestBusyIsNotLocked: while somebody works on a recording it is not locked, and a worker that died holds it up for a while only.
func TestBusyIsNotLocked(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		id, over := l.call(training()), callEnd.AddDate(0, 0, 1)
		if ok, err := l.archive.Catalog.Occupy(t.Context(), id, over, over.Add(30*time.Minute)); !ok || err != nil {
			t.Fatal(ok, err)
		}
		l.at(over.Add(29 * time.Minute))
		l.is(id, catalog.StateStored)
		l.at(over.Add(30 * time.Minute))
		l.is(id, catalog.StateLocked)
		l.agree()
	})
}
