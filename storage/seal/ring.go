package seal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
)

const (
	ringDir     = "ring"
	currentName = "current"
	memberSfx   = ".json"

	// RenewAfter is the age at which a ring takes a new member: what one of them opens is the recordings of a day.
	RenewAfter = 24 * time.Hour
	// forgetAfter is how long the secret of a member stays in memory that nobody asks for, except that of the one that wraps.
	forgetAfter = 10 * time.Minute
)

// A Service is a key-encryption key that never leaves the service which keeps it. Name tells which, without a secret: it is written
// down beside what it has wrapped.
type Service struct {
	Name string
	Wrapper
}

// A Ring wraps keys by identities that a Service has wrapped in turn. A key is wrapped with the public half of one of them, which lies
// on the disk, so that making one needs no network: calls are taken while the service is away, even by a server that starts then. To
// unwrap, the service is asked once for each identity, which then stays in memory for a while.
//
// It lies in the directory ring of a directory of keys, and may be used by several processes.
type Ring struct {
	dir      string
	services []Service // the first wraps
	now      func() time.Time

	mu     sync.Mutex
	member *member               // that wraps, as last read
	opened map[string]*openedKEK // by id
}

type openedKEK struct {
	identity identity
	used     time.Time
}

// OpenRing opens the ring of a directory of keys. The first service wraps what is new; the others are those that it came after. It
// asks no service; a ring without a member needs Renew before it can wrap.
func OpenRing(keysDir string, services ...Service) (*Ring, error) {
	r := &Ring{dir: filepath.Join(keysDir, ringDir), services: services, now: time.Now, opened: make(map[string]*openedKEK)}
	for _, dir := range []string{keysDir, r.dir} {
		if err := makeDir(dir); err != nil {
			return nil, fmt.Errorf("open ring of keys: %w", err)
		}
	}
	if _, err := r.current(); err != nil && !errors.Is(err, errNoKEK) {
		return nil, fmt.Errorf("open ring of keys: %w", err)
	}
	return r, nil
}

// current reads the member that wraps. That is a small file for each key that is made; the member itself is read when it changes.
func (r *Ring) current() (*member, error) {
	b, err := os.ReadFile(filepath.Join(r.dir, currentName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoKEK
	}
	if err != nil {
		return nil, err
	}
	id := strings.TrimSpace(string(b))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.member != nil && r.member.ID == id {
		return r.member, nil
	}
	m, err := r.read(id)
	if err != nil {
		return nil, err
	}
	r.member = m
	return m, nil
}

func (r *Ring) path(id string) string { return filepath.Join(r.dir, id+memberSfx) }

// read reads a member. One that is not there is ErrWrongKey: no service needs to be asked.
func (r *Ring) read(id string) (*member, error) {
	if checkedKEKID(id) == "" {
		return nil, fmt.Errorf("%w: member %.40q of the ring", ErrDamaged, id)
	}
	b, err := readLimited(r.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the ring has no member %s: restore %s from your backup", ErrWrongKey, id, r.path(id))
	}
	if err != nil {
		return nil, err
	}
	return parseMember(id, b)
}

// readLimited reads a file that holds something wrapped.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxWrappedBytes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxWrappedBytes {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrDamaged, filepath.Base(path), maxWrappedBytes)
	}
	return b, nil
}

// Wrap implements Wrapper. It touches no network.
func (r *Ring) Wrap(ctx context.Context, _ string, secret []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, err := r.current()
	if err != nil {
		return nil, err
	}
	return wrapTo(m.recipient, secret)
}

// Unwrap implements Wrapper.
func (r *Ring) Unwrap(ctx context.Context, _ string, wrapped []byte) ([]byte, error) {
	id := markOf(wrapped)
	if id == "" {
		return nil, fmt.Errorf("unwrap key: %w: no member of the ring has wrapped it", ErrWrongKey)
	}
	identity, err := r.open(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("unwrap key: %w", err)
	}
	return unwrapWith(wrapped, age.Identity(identity))
}

// open gives a member's secret, from memory or by the service.
func (r *Ring) open(ctx context.Context, id string) (identity, error) {
	m, err := r.read(id) // from the disk each time: what another process has retired is gone at once
	if err != nil {
		return nil, err
	}
	if known := r.recall(id); known != nil {
		return known, nil
	}
	secret, err := r.ask(ctx, m)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	k, err := parsePayload(id, secret)
	if err != nil {
		return nil, err
	}
	// The public half lies in clear, and keys are wrapped by it: it must be this one's.
	if recipientOf(k.identity).String() != m.recipient.String() {
		return nil, fmt.Errorf("%w: the public half of member %s of the ring is another's: somebody changed %s", ErrDamaged, id, r.path(id))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened[id] = &openedKEK{k.identity, r.now()}
	return k.identity, nil
}

// recall gives a secret that is in memory, and forgets those that nobody asks for.
func (r *Ring) recall(id string) identity {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for each, o := range r.opened {
		if each != id && now.Sub(o.used) > forgetAfter && (r.member == nil || r.member.ID != each) {
			delete(r.opened, each)
		}
	}
	o := r.opened[id]
	if o == nil {
		return nil
	}
	o.used = now
	return o.identity
}

// ask has a service unwrap a member: the one that it names first.
func (r *Ring) ask(ctx context.Context, m *member) (secret []byte, err error) {
	services := slices.Clone(r.services)
	slices.SortStableFunc(services, func(a, b Service) int {
		return cmp.Compare(b2i(a.Name != m.Service), b2i(b.Name != m.Service))
	})
	err = fmt.Errorf("%w: %s has wrapped member %s of the ring, and is not configured: name it in keys.former", ErrWrongKey, m.Service, m.ID)
	for _, s := range services {
		secret, err = s.Unwrap(ctx, m.ID, m.Wrapped)
		if !errors.Is(err, ErrWrongKey) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Service, err)
	}
	return secret, nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Keep is what a server does every minute: it makes a new member when the one that wraps is older than RenewAfter or was wrapped by
// another service than the first, and has its secret at hand, so that recordings are finished while the service is away.
func (r *Ring) Keep(ctx context.Context) error {
	m, err := r.current()
	if err == nil && m.Service == r.services[0].Name && r.now().Sub(m.Created) < RenewAfter {
		_, err = r.open(ctx, m.ID)
	} else if err == nil || errors.Is(err, errNoKEK) {
		_, err = r.Renew(ctx)
	}
	if err != nil {
		return fmt.Errorf("keep ring of keys: %w", err)
	}
	return nil
}

// IDs implements KEK.
func (r *Ring) IDs() ([]string, error) {
	members, err := r.Members()
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.ID
	}
	return ids, nil
}

// Renew implements KEK. The service is asked to wrap the new member, and to unwrap it again before it is used.
func (r *Ring) Renew(ctx context.Context) (string, error) {
	id, err := r.renew(ctx)
	if err != nil {
		return "", fmt.Errorf("renew ring of keys: %w", err)
	}
	return id, nil
}

func (r *Ring) renew(ctx context.Context) (string, error) {
	if len(r.services) == 0 {
		return "", errors.New("no service is configured")
	}
	made, err := newIdentity()
	if err != nil {
		return "", err
	}
	service := r.services[0]
	m := &member{Version: memberVersion, Created: r.now().UTC(), Service: service.Name, recipient: recipientOf(made)}
	m.ID, m.Recipient = kekID(m.recipient), m.recipient.String()
	payload := (&Key{id: m.ID, identity: made}).payload()
	defer clear(payload)
	if m.Wrapped, err = service.Wrap(ctx, m.ID, payload); err != nil {
		return "", fmt.Errorf("%s: %w", service.Name, err)
	}
	if _, err := r.ask(ctx, m); err != nil { // what cannot be unwrapped must not wrap a recording's key
		return "", err
	}
	b, err := m.marshal()
	if err != nil {
		return "", err
	}
	if err := linkNew(r.path(m.ID), b); err != nil {
		return "", err
	}
	if err := replace(filepath.Join(r.dir, currentName), []byte(m.ID+"\n")); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened[m.ID] = &openedKEK{made, r.now()}
	return m.ID, nil
}

// Retire implements KEK. The one that wraps goes only with all others: when another KEK has taken the ring's place.
func (r *Ring) Retire(ids []string) error {
	members, err := r.IDs()
	if err != nil {
		return err
	}
	gone := slices.DeleteFunc(members, func(id string) bool { return !slices.Contains(ids, id) })
	if len(gone) == 0 {
		return nil
	}
	current, err := r.current()
	if err != nil && !errors.Is(err, errNoKEK) {
		return fmt.Errorf("retire member of the ring: %w", err)
	}
	if current != nil && slices.Contains(gone, current.ID) {
		if left, err := r.IDs(); err != nil || len(left) != len(gone) {
			return errors.Join(fmt.Errorf("retire member %s of the ring: it is the one that wraps", current.ID), err)
		}
		if err := erase(filepath.Join(r.dir, currentName)); err != nil {
			return fmt.Errorf("retire ring of keys: %w", err)
		}
	}
	for _, id := range gone {
		if err := erase(r.path(id)); err != nil {
			return fmt.Errorf("retire member %s of the ring: %w", id, err)
		}
		r.mu.Lock()
		delete(r.opened, id)
		r.mu.Unlock()
	}
	return nil
}
