package seal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	if r, err := k.Rotation(); err != nil || r != nil {
		if r == nil {
			return Rotation{}, err
		}
		return *r, err
	}
	if err := k.Check(ctx); err != nil {
		return Rotation{}, err
	}
	from, err := k.kek.IDs()
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
	return r, replace(filepath.Join(k.dir, rotationName), append(b, '\n'))
}

// Rotation gives the rotation that has begun and has not ended; nil is none.
func (k *Keys) Rotation() (*Rotation, error) {
	b, err := readLimited(filepath.Join(k.dir, rotationName))
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
	alone, err := k.lockFile(rotateLockName, exclusive)
	if err != nil {
		return done, err
	}
	defer alone()
	// Who has begun to make a key may still wrap it by the old one: when this lock is had, it lies in the directory.
	unlock, err := k.lockFile(lockName, exclusive)
	if err != nil {
		return done, err
	}
	unlock()
	one := func(id, path string) error {
		rewrapped, err := k.rewrap(ctx, id, path, r)
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
	if err := one(checkID, filepath.Join(k.dir, checkName)); err != nil {
		return done, err
	}
	err = k.walk(ctx, func(_, name string) error {
		id, ok := strings.CutSuffix(name, keySuffix)
		if !ok || CheckID(id) != nil || k.notDestroyed(id) != nil {
			return nil
		}
		return one(id, k.path(id, keySuffix))
	})
	if err != nil || done.Failed > 0 {
		return done, err
	}
	if err := k.step("rewrapped"); err != nil {
		return done, err
	}
	return done, erase(filepath.Join(k.dir, rotationName))
}

// rewrap wraps one key anew, unless that is done. One that is destroyed meanwhile counts as done.
func (k *Keys) rewrap(ctx context.Context, id, path string, r Rotation) (bool, error) {
	old, err := readLimited(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if mark := markOf(old); mark == r.To || mark != unnamed && !slices.Contains(r.From, mark) && k.wraps(mark) {
		return false, nil
	}
	payload, err := k.kek.Unwrap(ctx, id, old)
	defer clear(payload)
	if err != nil {
		return false, err
	}
	if _, err := parsePayload(id, payload); err != nil {
		return false, err
	}
	wrapped, err := k.kek.Wrap(ctx, id, payload)
	if err != nil {
		return false, err
	}
	temp := rewrapped(path)
	if err := errors.Join(erase(temp), writeTemp(temp, wrapped)); err != nil { // one that a crash left may be another's
		return false, errors.Join(err, erase(temp))
	}
	if err := k.step("written"); err != nil {
		return false, err
	}
	unlock, err := k.lockFile(lockName, exclusive)
	if err != nil {
		return false, errors.Join(err, erase(temp))
	}
	defer unlock()
	// Who destroys a key has the lock too: it is either gone already, or will be together with what takes its place.
	now, err := readLimited(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.Equal(now, old) {
		return false, erase(temp)
	}
	if err != nil {
		return false, errors.Join(err, erase(temp))
	}
	if err := swap(temp, path); err != nil {
		return false, err
	}
	return true, k.step("swapped")
}

// rewrapped is where the new form of a key lies until it takes the old one's place. Who destroys the key erases that too.
func rewrapped(path string) string {
	return filepath.Join(filepath.Dir(path), tempMark+filepath.Base(path))
}

// wraps tells whether a key-encryption key is the one that wraps now: a newer one than the rotation's.
func (k *Keys) wraps(id string) bool {
	ids, err := k.kek.IDs()
	return err == nil && len(ids) > 0 && ids[0] == id
}

// Retire destroys key-encryption keys that no key needs any more. It is an error when a rotation is on its way, or a key is wrapped by
// one of them. A backup of the keys from before needs them: keep a copy as long as that.
func (k *Keys) Retire(ctx context.Context, ids []string) error {
	if r, err := k.Rotation(); err != nil || r != nil {
		return errors.Join(errors.New("retire key-encryption key: a rotation has not ended: rotate again"), err)
	}
	unlock, err := k.lockFile(lockName, exclusive)
	if err != nil {
		return fmt.Errorf("retire key-encryption key: %w", err)
	}
	unlock() // as in rotate
	status, err := k.Status(ctx)
	if err != nil {
		return err
	}
	for _, id := range append(slices.Clone(ids), unnamed) {
		if n := status.Wrapped[id]; n > 0 {
			return fmt.Errorf("retire key-encryption key: %d keys are wrapped by %s: rotate first", n, kekName(id))
		}
	}
	return k.kek.Retire(ids)
}

func kekName(id string) string {
	if id == unnamed {
		return "one without a name"
	}
	return id
}

// A Status counts what lies in the directory.
type Status struct {
	// Wrapped counts keys by the id of the key-encryption key that they name; "" are those that an older version wrapped.
	Wrapped map[string]int
	// KEKs are the key-encryption keys that can unwrap; the first wraps.
	KEKs      []string
	Destroyed int // tombstones
	Rotation  *Rotation
}

// Status reads the headers of all keys. It unwraps none.
func (k *Keys) Status(ctx context.Context) (Status, error) {
	s := Status{Wrapped: make(map[string]int)}
	err := k.walk(ctx, func(_, name string) error {
		id, ok := strings.CutSuffix(name, keySuffix)
		if !ok || CheckID(id) != nil {
			if strings.HasSuffix(name, tombstoneSuffix) {
				s.Destroyed++
			}
			return nil
		}
		return s.count(k.path(id, keySuffix))
	})
	if err == nil {
		err = s.count(filepath.Join(k.dir, checkName))
	}
	if err == nil {
		s.Rotation, err = k.Rotation()
	}
	if err == nil {
		s.KEKs, err = k.kek.IDs()
	}
	if err != nil {
		return s, fmt.Errorf("read status of keys: %w", err)
	}
	return s, nil
}

func (s *Status) count(path string) error {
	b, err := readLimited(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		s.Wrapped[markOf(b)]++
	}
	return err
}
