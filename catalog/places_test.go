package catalog_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
)

// TestSettleAsPolicy: of any sequence of claims, repeated ones and a quota that becomes smaller among them, the catalog says what
// policy.Places does.
func TestSettleAsPolicy(t *testing.T) { onBoth(t, testSettleAsPolicy) }

func testSettleAsPolicy(t *testing.T, b backend) {
	c, r := open(t, b.fresh(t)), rand.New(rand.NewPCG(1, 2))
	want := map[string]policy.Places{}
	for i := range 400 {
		key, call, calls := fmt.Sprint("quota", r.IntN(3)), fmt.Sprint("call", r.IntN(60)), r.IntN(4)
		claim := policy.Claim{Key: key, Calls: calls, Draw: fmt.Sprintf("%02x", r.IntN(20))}
		after, has, lost := want[key].Settle(call, claim)
		want[key] = after
		var displaced []string
		for _, p := range lost {
			displaced = append(displaced, p.Call)
		}
		got, gotDisplaced, err := c.Settle(t.Context(), key, calls, claim.Draw, call)
		if diff := cmp.Diff(displaced, gotDisplaced); err != nil || got != has || diff != "" {
			t.Fatalf("claim %d, %+v of %s: has %v, want %v, %v, displaced (-want +got):\n%s", i, claim, call, got, has, err, diff)
		}
	}
	for _, bad := range [][3]string{{"", "1", "a"}, {"k", "", "a"}, {"k", "1", ""}} {
		if _, _, err := c.Settle(t.Context(), bad[0], 1, bad[1], bad[2]); err == nil {
			t.Errorf("%v is settled", bad)
		}
	}
}

// TestR05SettleTogether: two processes settle a thousand calls of a week, mornings before afternoons on each day. The places are those of the
// lowest draws, everything else that ever had one is doomed, and mornings and afternoons have equal shares.
func TestR05SettleTogether(t *testing.T) { onBoth(t, testR05SettleTogether) }

func testR05SettleTogether(t *testing.T, b backend) {
	const calls, places, workers = 1000, 100, 4
	at := b.fresh(t)
	handles := []*catalog.Catalog{open(t, at), open(t, at)}
	r := rand.New(rand.NewPCG(5, 6))
	claims := make([]policy.Place, calls)
	for i := range claims {
		half := "morning"
		if i%100 >= 50 { // of each day's hundred
			half = "afternoon"
		}
		claims[i] = policy.Place{Call: fmt.Sprintf("%s-%d", half, i), Draw: fmt.Sprintf("%016x", r.Uint64())}
	}
	var mu sync.Mutex // protects had
	had := map[string]bool{}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < calls; i += workers {
				has, _, err := handles[w%2].Settle(t.Context(), "week", places, claims[i].Draw, claims[i].Call)
				if err != nil {
					t.Error(err)
				}
				if has {
					mu.Lock()
					had[claims[i].Call] = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	slices.SortFunc(claims, func(a, b policy.Place) int { return strings.Compare(a.Draw, b.Draw) })
	morning := 0
	for _, p := range claims[:places] {
		if has, displaced, err := handles[0].Settle(t.Context(), "week", places, p.Draw, p.Call); err != nil || !has || displaced != nil || !had[p.Call] {
			t.Errorf("%s has %v and had %v, displaced %v, %v", p.Call, has, had[p.Call], displaced, err)
		}
		delete(had, p.Call)
		if strings.HasPrefix(p.Call, "morning") {
			morning++
		}
	}
	doomed, err := handles[1].Doomed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range doomed {
		if got = append(got, d.ID); d.Reason != "quota_over" {
			t.Errorf("%s is doomed for %s", d.ID, d.Reason)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(had)), got); diff != "" {
		t.Errorf("doomed (-want +got):\n%s", diff)
	}
	if morning < 31 || morning > 69 { // 50 expected, of standard deviation 4.7
		t.Errorf("%d of %d places are of mornings", morning, places)
	}
	t.Logf("%d of %d places are of mornings, %d recordings lost theirs", morning, places, len(got))
}

// TestPlacesAreForgotten: places of times long over do not stay.
func TestPlacesAreForgotten(t *testing.T) { onBoth(t, testPlacesAreForgotten) }

func testPlacesAreForgotten(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	if _, _, err := c.Settle(t.Context(), "old", 1, "1", "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Writer().Exec("UPDATE places SET taken_at = taken_at - 63 * CAST(86400000 AS BIGINT)"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Settle(t.Context(), "new", 1, "1", "b"); err != nil {
		t.Fatal(err)
	}
	var places int
	var left string
	if err := c.Writer().QueryRow("SELECT COUNT(*), MIN(recording) FROM places").Scan(&places, &left); err != nil || places != 1 || left != "b" {
		t.Errorf("%d places are there, that of %s among them, %v", places, left, err)
	}
}
