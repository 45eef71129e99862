package recorder_test

import (
	"errors"
	"testing"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/storagetest"
)

// TestTwoYearsByLifecycle: two years by a simulated clock, on a service that deletes by lifecycle rules, while no recorder runs. Each night the
// service comes by. Nothing goes before its term, what is hidden is heard until then, and each class is gone in the days that the rules
// promise. The recorder that comes back destroys the keys, and finds nothing wrong.
func TestTwoYearsByLifecycle(t *testing.T) {
	const day = 24 * time.Hour
	clock := &stoppedClock{at: callEnd}
	fake := storagetest.NewFake(t, storagetest.FakeOptions{Now: clock.now})
	l := newLaterOn(t, t.TempDir(), fake, clock)
	mandated := func(name string, term policy.Period) policy.Class {
		c := training()
		c.Name, c.Kind, c.LegalBasis, c.Mandate, c.Lock, c.Retention, c.Quarantine = name, "", policy.LegalObligation, "Act 1", policy.Compliance, term, policy.Period{}
		return c
	}
	classes := []policy.Class{training(), training(), training(), mandated("order", policy.Period{Months: 18}), mandated("trade", policy.Period{Years: 2})}
	classes[0].Name, classes[0].Retention = "month", policy.Period{Months: 1}
	classes[2].Name, classes[2].Retention, classes[2].Lock = "year", policy.Period{Years: 1}, policy.NoLock
	// Days after the term: the next night; or as many as its months are short of the longest, and three of rounding, and two more of a mandate.
	late := []int{1, 1, 1 + 3, 3 + 3 + 2, 1 + 3 + 2}
	var lifecycle []storage.LifecycleClass
	rows := make([]catalog.Recording, len(classes))
	for i, class := range classes {
		rows[i].ID = l.call(class)
		lock := storage.Mode(class.Lock)
		if class.Lock == policy.NoLock {
			lock = ""
		}
		lifecycle = append(lifecycle, storage.LifecycleClass{Name: class.Name, Until: class.Until, Lock: lock, Mandated: class.Mandate != ""})
	}
	rules, err := storage.LifecycleRules(lifecycle, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.at(callEnd.Add(25 * time.Hour)) // out of the quarantine; then the recorder is gone
	for i, row := range rows {
		rows[i] = l.row(row.ID)
	}
	gone := map[string]time.Time{}
	for night := callEnd.Add(2 * day).Truncate(day); night.Before(callEnd.AddDate(2, 0, 20)); night = night.Add(day) {
		clock.set(night)
		fake.RunLifecycle(rules)
		for i, row := range rows {
			if _, over := gone[row.ID]; over {
				continue
			}
			_, err := fake.Stat(t.Context(), storage.Ref{Key: row.Audio.Key, VersionID: row.Audio.Version})
			end := classes[i].Until(callEnd)
			switch left := end.Sub(night); {
			case errors.Is(err, storage.ErrNotFound):
				if gone[row.ID] = night; left > 0 || -left > time.Duration(late[i])*day {
					t.Errorf("%s is gone on %s, its term ended on %s", classes[i].Name, night, end)
				}
			case err != nil:
				t.Fatal(err)
			case left > 0 && left <= day: // its last
				_, err := fake.Stat(t.Context(), storage.Ref{Key: row.Audio.Key})
				if hidden := errors.Is(err, storage.ErrNotFound); hidden != (row.LockMode == string(policy.Governance)) {
					t.Errorf("%s on its last day: hidden %t", classes[i].Name, hidden)
				}
				if sound, err := l.archive.Play(t.Context(), row.ID, "test", "", ""); err != nil {
					t.Errorf("%s is not heard on its last day: %v", classes[i].Name, err)
				} else {
					sound.Close()
				}
			}
		}
	}
	if len(gone) != len(classes) || l.objects("") != 0 {
		t.Errorf("%d of %d are gone, %d objects are there", len(gone), len(classes), l.objects(""))
	}
	l.settle() // the recorder is back
	for _, row := range rows {
		l.is(row.ID, catalog.StateExpired)
		l.keyIs(row.ID, seal.ErrDestroyed)
	}
	l.agree()
}
