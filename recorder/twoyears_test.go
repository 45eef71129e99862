package recorder_test

import (
	"slices"
	"testing"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage/seal"
)

// TestTwoYears goes through two years, day by day and to the second around each term: what a class keeps can be heard until its term ends, and
// is locked from the end of its quarantine on; then its key is gone at once, and its bytes with the next sweep. No class takes another along.
func TestTwoYears(t *testing.T) {
	mandated := func(name string, term policy.Period) policy.Class {
		c := training()
		c.Name, c.Kind, c.LegalBasis, c.Mandate, c.Lock, c.Retention, c.Quarantine = name, "", policy.LegalObligation, "Act 1", policy.Compliance, term, policy.Period{}
		return c
	}
	classes := []policy.Class{training(), training(), training(), mandated("order", policy.Period{Months: 18}), mandated("trade", policy.Period{Years: 2})}
	classes[0].Name, classes[0].Retention = "month", policy.Period{Months: 1}
	classes[2].Name, classes[2].Retention, classes[2].Lock = "year", policy.Period{Years: 1}, policy.NoLock
	onBoth(t, func(t *testing.T, l later) {
		ids, left := make([]string, len(classes)), map[string]bool{}
		var instants []time.Time
		for i, class := range classes {
			ids[i] = l.call(class)
			left[ids[i]] = true
			end := l.row(ids[i]).RetainUntil
			instants = append(instants, end.Add(-time.Second), end, end.Add(11*time.Second))
		}
		until := callEnd.AddDate(2, 0, 10)
		for at := callEnd.AddDate(0, 0, 2); at.Before(until); at = at.AddDate(0, 0, 5) {
			instants = append(instants, at)
		}
		slices.SortFunc(instants, time.Time.Compare)
		for _, at := range instants {
			l.at(at)
			there := 0
			for i, id := range ids {
				row := l.row(id)
				if at.Before(callEnd.AddDate(0, 0, 2)) {
					continue
				}
				switch over := !at.Before(classes[i].Until(callEnd).Truncate(time.Second).Add(time.Second)); {
				case over && left[id]:
					l.is(id, catalog.StateExpired)
					l.keyIs(id, seal.ErrDestroyed)
					left[id] = false
				case over:
					l.is(id, catalog.StateExpired)
				case classes[i].Lock == policy.NoLock:
					l.is(id, catalog.StateStored)
				case row.State != catalog.StateLocked || !row.LockedUntil.Equal(row.RetainUntil):
					t.Fatalf("at %s %s is %s, locked until %s", at, classes[i].Name, row.State, row.LockedUntil)
				}
				if left[id] {
					there++
				}
			}
			if n := l.objects("rec/"); n < 2*there {
				t.Fatalf("at %s %d objects are there of %d recordings", at, n, there)
			}
		}
		for i, id := range ids {
			if left[id] {
				t.Errorf("%s is still there", classes[i].Name)
			}
		}
		if n := l.objects("rec/"); n != 0 {
			t.Errorf("%d objects are left", n)
		}
		l.agree()
	})
}
