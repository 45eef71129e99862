package seal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"time"
)

const tombstoneVersion = 1

// A Tombstone stands where a key was.
type Tombstone struct {
	ID        string
	Destroyed time.Time
}

type tombstone struct {
	Version   int       `json:"version"`
	ID        string    `json:"id"`
	Destroyed time.Time `json:"destroyed"`
}

func parseTombstone(id string, b []byte) (Tombstone, error) {
	var t tombstone
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Tombstone{ID: id}, fmt.Errorf("%w: tombstone: %w", ErrDamaged, err)
	}
	if t.Version != tombstoneVersion || t.ID != id || t.Destroyed.IsZero() {
		return Tombstone{ID: id}, fmt.Errorf("%w: tombstone of version %d for %.80q", ErrDamaged, t.Version, t.ID)
	}
	return Tombstone{ID: id, Destroyed: t.Destroyed.UTC()}, nil
}

// A Survey is what lies where keys lie, by id: of a key that was destroyed, and that a backup has brought back, both.
type Survey struct {
	Keys, Tombstones map[string]bool
}

// Survey lists all keys and tombstones, and unwraps nothing. A key on its way from this machine to a shared shelf is not missed.
func (k *Keys) Survey(ctx context.Context) (Survey, error) {
	s, err := k.survey(ctx)
	if err != nil {
		return s, fmt.Errorf("list keys: %w", err)
	}
	return s, nil
}

func (k *Keys) survey(ctx context.Context) (Survey, error) {
	s := Survey{Keys: make(map[string]bool), Tombstones: make(map[string]bool)}
	if k.porch != nil { // first: they leave it, and never come to it from the shelf
		there, err := k.porch.survey(ctx)
		if err != nil {
			return s, err
		}
		s = there
	}
	for name, err := range k.shelf.List(ctx, "") {
		if err != nil {
			return s, err
		}
		if id := parseName(name, keySuffix); id != "" {
			s.Keys[id] = true
		} else if id := parseName(name, tombstoneSuffix); id != "" {
			s.Tombstones[id] = true
		}
	}
	return s, nil
}

// List yields the id of every key, in no order. An error ends the sequence.
func (k *Keys) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		there, err := k.survey(ctx)
		if err != nil {
			yield("", fmt.Errorf("list keys: %w", err))
			return
		}
		for id := range there.Keys {
			if !there.Tombstones[id] && !yield(id, nil) {
				return
			}
		}
	}
}

// Destroyed yields every tombstone, in no order. An error with an ID in its Tombstone is about that one alone, whose key is destroyed
// all the same; any other ends the sequence.
func (k *Keys) Destroyed(ctx context.Context) iter.Seq2[Tombstone, error] {
	return func(yield func(Tombstone, error) bool) {
		there, err := k.survey(ctx)
		if err != nil {
			yield(Tombstone{}, fmt.Errorf("list destroyed keys: %w", err))
			return
		}
		for id := range maps.Keys(there.Tombstones) {
			t, err := k.tombstone(ctx, id)
			if err != nil && !errors.Is(err, ErrDamaged) {
				yield(Tombstone{}, fmt.Errorf("list destroyed keys: %w", err))
				return
			}
			if !yield(t, err) {
				return
			}
		}
	}
}

// tombstone reads that of an id, which is here or on the shared shelf.
func (k *Keys) tombstone(ctx context.Context, id string) (Tombstone, error) {
	b, err := k.shelf.Get(ctx, fileName(id, tombstoneSuffix))
	if errors.Is(err, fs.ErrNotExist) && k.porch != nil {
		return k.porch.tombstone(ctx, id)
	}
	if err != nil {
		return Tombstone{ID: id}, err
	}
	return parseTombstone(id, b)
}
