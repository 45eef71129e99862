package seal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

const (
	rotationName    = "rotation.json"
	rotationVersion = 1
	rotateLockName  = "rotate.lock"

	unnamed = "" // the key-encryption key of a key that an older version wrapped
)

// A Rotation is on its way from when its new key-encryption key is there to when every key is wrapped by that.
type Rotation struct {
	Started time.Time `json:"started"`
	To      string    `json:"to"`   // the new key-encryption key
	From    []string  `json:"from"` // those that it came after
	Resumed bool      `json:"-"`    // a crash or a service that was away had cut it off
}

type rotationFile struct {
	Version int `json:"version"`
	Rotation
}

// Rotated counts keys, that of the check file among them.
type Rotated struct {
	Rewrapped int   `json:"rewrapped"`
	Already   int   `json:"already"` // wrapped by the new key-encryption key before
	Failed    int   `json:"failed"`
	Err       error `json:"-"` // of the first that failed
}

// BeginRotation makes a new key-encryption key, by which every key is wrapped that is made from now on, in other processes too; or it
// takes up a rotation that was cut off. Nothing is wrapped anew yet.
func (k *Keys) BeginRotation(ctx context.Context) (Rotation, error) {
	r, err := k.beginRotation(ctx)
	if err != nil {
		return r, fmt.Errorf("begin rotation of keys: %w", err)
	}
	return r, nil
}

func (k *Keys) beginRotation(ctx context.Context) (Rotation, error) {
	if r, err := k.Rotation(ctx); err != nil || r != nil {
		if r == nil {
			return Rotation{}, err
		}
		return *r, err
	}
	if err := k.Check(ctx); err != nil {
		return Rotation{}, err
	}
	from, err := k.kek.IDs(ctx)
	if err != nil {
		return Rotation{}, err
	}
	to, err := k.kek.Renew(ctx)
	if err != nil {
		return Rotation{}, err
	}
	if err := k.step("renewed"); err != nil {
		return Rotation{}, err
	}
	r := Rotation{Started: k.now().UTC(), To: to, From: from}
	b, err := json.Marshal(rotationFile{rotationVersion, r})
	if err != nil {
		return r, err
	}
	err = k.shelf.Put(ctx, rotationName, nil, append(b, '\n'))
	if !errors.Is(err, fs.ErrExist) {
		return r, err
	}
	// Somebody else has begun one, which will do as well: it wraps by the key-encryption key that is used now.
	switch r, err := k.Rotation(ctx); {
	case err != nil:
		return Rotation{}, err
	case r == nil:
		return Rotation{}, errors.New("another rotation has just ended: begin again")
	default:
		return *r, nil
	}
}

// Rotation gives the rotation that has begun and has not ended; nil is none.
func (k *Keys) Rotation(ctx context.Context) (*Rotation, error) {
	b, err := k.shelf.Get(ctx, rotationName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseRotation(b)
}

func parseRotation(b []byte) (*Rotation, error) {
	var file rotationFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil || file.Version != rotationVersion || checkedKEKID(file.To) == "" {
		return nil, fmt.Errorf("%w: %s is of version %d, or not whole", ErrDamaged, rotationName, file.Version)
	}
	file.Resumed = true
	return &file.Rotation, nil
}

// Rotate wraps every key anew that a key-encryption key from before the rotation has wrapped. What those keys have sealed is not
// touched, and can be read all the time. It may be cut off and called again. Progress, which may be nil, is told after each key. When
// no key failed the rotation has ended, and the old key-encryption keys may be retired.
func (k *Keys) Rotate(ctx context.Context, r Rotation, progress func(Rotated)) (Rotated, error) {
	done, err := k.rotate(ctx, r, progress)
	if err != nil {
		return done, fmt.Errorf("rotate keys: %w", err)
	}
	return done, nil
}

func (k *Keys) rotate(ctx context.Context, r Rotation, progress func(Rotated)) (done Rotated, err error) {
	count := func(id string, rewrapped bool, err error) error {
		switch {
		case ctx.Err() != nil || errors.Is(err, ErrUnavailable) || errors.Is(err, errStep):
			return err // those to come would fare no better
		case err != nil:
			if done.Failed++; done.Err == nil {
				done.Err = fmt.Errorf("key %s: %w", id, err)
			}
		case rewrapped:
			done.Rewrapped++
		default:
			done.Already++
		}
		if progress != nil {
			progress(done)
		}
		return nil
	}
	if k.porch != nil { // first: what leaves it meanwhile is found on the shelf
		if err := k.porch.rewrapAll(ctx, r, count); err != nil {
			return done, err
		}
	}
	if err := k.rewrapAll(ctx, r, count, checkID); err != nil || done.Failed > 0 {
		return done, err
	}
	if err := k.step("rewrapped"); err != nil {
		return done, err
	}
	// It may be another's that began meanwhile; that then ends as well, and begins anew only if it is cut off.
	return done, k.shelf.Remove(ctx, rotationName)
}

// rewrapAll wraps all keys of the shelf anew, and those of the names that are given.
func (k *Keys) rewrapAll(ctx context.Context, r Rotation, count func(id string, rewrapped bool, err error) error, checks ...string) error {
	alone, err := k.lock(rotateLockName, exclusive)
	if err != nil {
		return err
	}
	defer alone()
	// Who has begun to make a key may still wrap it by the old one: when this lock is had, it lies on the shelf.
	unlock, err := k.lock(lockName, exclusive)
	if err != nil {
		return err
	}
	unlock()
	for _, id := range checks {
		rewrapped, err := k.rewrap(ctx, id, checkName, r)
		if err := count(id, rewrapped, err); err != nil {
			return err
		}
	}
	for name, err := range k.shelf.List(ctx, "") {
		if err != nil {
			return err
		}
		id := parseName(name, keySuffix)
		if id == "" || errors.Is(k.notDestroyed(ctx, id), ErrDestroyed) {
			continue
		}
		rewrapped, err := k.rewrap(ctx, id, name, r)
		if err := count(id, rewrapped, err); err != nil {
			return err
		}
	}
	return nil
}

// rewrap wraps one key anew, unless that is done. One that is destroyed meanwhile counts as done.
func (k *Keys) rewrap(ctx context.Context, id, name string, r Rotation) (bool, error) {
	for range maxSwaps {
		old, err := k.shelf.Get(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if mark := markOf(old); mark == r.To || mark != unnamed && !slices.Contains(r.From, mark) && k.wraps(ctx, mark) {
			return false, nil
		}
		key, err := k.unwrap(ctx, id, old)
		if err != nil {
			return false, err
		}
		wrapped, err := k.wrap(ctx, key)
		if err != nil {
			return false, err
		}
		switch err := k.shelf.Put(ctx, name, old, wrapped); {
		case errors.Is(err, fs.ErrExist):
			continue // somebody else has put something there: look again
		case errors.Is(err, fs.ErrNotExist):
			return false, nil
		case err != nil:
			return false, err
		}
		if name == checkName {
			return true, nil
		}
		if err := k.gone(ctx, id); err != nil && !errors.Is(err, ErrDestroyed) {
			return false, err
		}
		return true, nil
	}
	return false, errors.New("others write it all the time")
}

// wraps tells whether a key-encryption key is the one that wraps now: a newer one than the rotation's.
func (k *Keys) wraps(ctx context.Context, id string) bool {
	ids, err := k.kek.IDs(ctx)
	return err == nil && len(ids) > 0 && ids[0] == id
}
