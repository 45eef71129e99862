package seal_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/greffier/greffier/storage/seal"
)

// A deed is what a machine does with the key "met".
type deed struct {
	name string
	do   func(ctx context.Context, k *seal.Keys) error
}

var (
	destroys = deed{"destroy", func(ctx context.Context, k *seal.Keys) error { return k.Destroy(ctx, "met") }}
	settles  = deed{"settle", func(ctx context.Context, k *seal.Keys) error { return k.Settle(ctx, "met") }}
	rotates  = deed{"rotate", func(ctx context.Context, k *seal.Keys) error {
		r, err := k.BeginRotation(ctx)
		if err != nil {
			return err
		}
		done, err := k.Rotate(ctx, r, nil)
		if err == nil && done.Failed > 0 {
			err = fmt.Errorf("%d failed: %w", done.Failed, done.Err)
		}
		return err
	}}
	sweeps = deed{"sweep", func(ctx context.Context, k *seal.Keys) error { return k.Sweep(ctx) }}
)

// ok passes over what a deed may say when another meets it.
func ok(err error) bool { return err == nil || errors.Is(err, seal.ErrDestroyed) }

// meeting is a shelf, two machines, and a key that one has made, and has settled or not.
type meeting struct {
	shelf *memoryShelf
	dir   string
	a, b  *seal.Keys
	want  map[string]string
}

func meet(t *testing.T, settled bool) *meeting {
	m := &meeting{shelf: newMemoryShelf(), dir: t.TempDir(), want: map[string]string{}}
	m.a, m.b = machine(t, m.shelf, m.dir, "a"), machine(t, m.shelf, m.dir, "b")
	for _, id := range []string{"met", "other"} {
		m.want[id] = create(t, m.a, id).Recipient()
	}
	settle(t, m.a, "other")
	if settled {
		settle(t, m.a, "met")
	}
	return m
}

// gone sees that the key is destroyed. Of one that never left its machine the others know nothing.
func (m *meeting) gone(t *testing.T, k *seal.Keys, where string) {
	t.Helper()
	_, err := k.Get(t.Context(), "met")
	if !errors.Is(err, seal.ErrDestroyed) && !errors.Is(err, seal.ErrNotFound) {
		t.Errorf("%s: Get: %v, want ErrDestroyed", where, err)
	}
}

// right looks at what two deeds have left that have both ended: nothing needs to be mended.
func (m *meeting) right(t *testing.T, destroyed, rotated bool, where string) {
	t.Helper()
	if destroyed && m.shelf.has("met.age") {
		t.Errorf("%s: the destroyed key is on the shelf", where)
	}
	if !rotated {
		return
	}
	k := machine(t, m.shelf, m.dir, "a")
	s, err := k.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range s.KEKs[1:] {
		if n := s.Wrapped[id]; n > s.Waiting {
			t.Errorf("%s: %d keys are left to the former key-encryption key", where, n)
		}
	}
}

// check does what both machines do in time, and looks at what is left.
func (m *meeting) check(t *testing.T, destroyed bool, where string) {
	t.Helper()
	ctx := t.Context()
	for _, name := range []string{"a", "b"} {
		k := machine(t, m.shelf, m.dir, name)
		if destroyed {
			m.gone(t, k, where)
			if err := k.Settle(ctx, "met"); !ok(err) {
				t.Errorf("%s: settle: %v", where, err)
			}
		} else if err := k.Settle(ctx, "met"); err != nil {
			t.Errorf("%s: settle: %v", where, err)
		}
		if err := errors.Join(k.Sweep(ctx), k.Clean(ctx)); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		if exists(k.Path("met", ".age")) || exists(k.Path("met", ".sent")) {
			t.Errorf("%s: the key is left on machine %s", where, name)
		}
	}
	k := machine(t, m.shelf, m.dir, "b")
	if destroyed {
		delete(m.want, "met")
		m.gone(t, k, where)
		if m.shelf.has("met.age") {
			t.Errorf("%s: the destroyed key is on the shelf", where)
		}
	}
	// What is left of a rotation ends, and no key is left to what came before it.
	if err := rotates.do(ctx, k); err != nil {
		t.Errorf("%s: %v", where, err)
	}
	s, err := k.Status(ctx)
	if err != nil || s.Rotation != nil {
		t.Fatalf("%s: status %+v, %v", where, s, err)
	}
	if err := k.Retire(ctx, s.KEKs[1:]); err != nil {
		t.Errorf("%s: %v", where, err)
	}
	openable(t, machine(t, m.shelf, m.dir, "a"), m.want)
	if got := list(t, k); len(got) != len(m.want) {
		t.Errorf("%s: %q are there, want %d", where, got, len(m.want))
	}
}

// TestDeedsMeet has one machine do the whole of a deed before each request of another's deed: whatever they are, a key that is destroyed
// stays so, none is lost, and none is left to a former key-encryption key.
func TestDeedsMeet(t *testing.T) {
	for _, pair := range []struct {
		first, second deed
		settled       bool
	}{
		{settles, destroys, false}, {destroys, settles, false}, {settles, rotates, false}, {rotates, settles, false}, {settles, settles, false},
		{settles, sweeps, false}, {rotates, destroys, true}, {destroys, rotates, true}, {rotates, rotates, true}, {destroys, destroys, true},
		{rotates, destroys, false}, {destroys, rotates, false}, {rotates, rotates, false},
	} {
		for _, local := range []bool{false, true} { // the second by another machine, or by another process of the same
			for at := 1; ; at++ {
				m := meet(t, pair.settled)
				second := m.b
				if local {
					second = machine(t, m.shelf, m.dir, "a")
				}
				where := fmt.Sprintf("%s before request %d of %s, settled %t, same machine %t", pair.second.name, at, pair.first.name, pair.settled, local)
				step, met := 0, false
				m.shelf.set(func(string, string) error {
					if step++; step == at {
						m.shelf.set(nil)
						met = true
						if err := pair.second.do(t.Context(), second); !ok(err) {
							t.Errorf("%s: the second: %v", where, err)
						}
					}
					return nil
				})
				err := pair.first.do(t.Context(), m.a)
				m.shelf.set(nil)
				if !met {
					break
				}
				destroyed := pair.first.name == destroys.name || pair.second.name == destroys.name
				if !ok(err) {
					t.Errorf("%s: the first: %v", where, err)
				}
				m.right(t, destroyed, pair.first.name == rotates.name || pair.second.name == rotates.name, where)
				m.check(t, destroyed, where)
			}
		}
	}
}

// TestDestroyedOnItsWay destroys a key at each step of its way from the machine to the shelf, by another process of that machine.
func TestDestroyedOnItsWay(t *testing.T) {
	steps := 0
	for at := 1; at == steps+1; at++ {
		m := meet(t, false)
		second, step, where := machine(t, m.shelf, m.dir, "a"), 0, ""
		m.a.CutAt(func(name string) bool {
			if step++; step == at {
				steps, where = at, "at "+name
				if err := second.Destroy(t.Context(), "met"); err != nil {
					t.Errorf("%s: %v", where, err)
				}
			}
			return false
		})
		if err := m.a.Settle(t.Context(), "met"); !ok(err) {
			t.Errorf("%s: %v", where, err)
		}
		if where != "" {
			m.right(t, true, false, where)
			m.check(t, true, where)
		}
	}
	if steps < 4 {
		t.Errorf("%d steps: the test did not test it", steps)
	}
}

// TestDeedsAreCutOff crashes each deed before each of its requests, and at its steps: what is left is ended, or was not begun.
func TestDeedsAreCutOff(t *testing.T) {
	for _, test := range []struct {
		deed    deed
		settled bool
	}{{settles, false}, {destroys, true}, {destroys, false}, {rotates, true}, {rotates, false}} {
		for cut := 0; ; cut++ {
			m := meet(t, test.settled)
			step := 0
			crash := func() error {
				if step++; step > cut {
					return seal.ErrStep
				}
				return nil
			}
			m.shelf.set(func(string, string) error { return crash() })
			m.a.CutAt(func(string) bool { return crash() != nil })
			err := test.deed.do(t.Context(), m.a)
			m.shelf.set(nil)
			if err == nil {
				break
			}
			where := fmt.Sprintf("%s cut off at %d, settled %t", test.deed.name, cut, test.settled)
			if !errors.Is(err, seal.ErrStep) {
				t.Errorf("%s: %v", where, err)
			}
			destroyed := test.deed.name == destroys.name
			if destroyed { // who asked for it was not told that it was done, and asks again
				if err := machine(t, m.shelf, m.dir, "a").Destroy(t.Context(), "met"); err != nil {
					t.Errorf("%s: again: %v", where, err)
				}
			}
			m.check(t, destroyed, where)
		}
	}
}
