package seal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
)

const (
	ringPrefix  = "ring/"
	currentName = ringPrefix + "current"
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
// It lies beside the keys, and may be used by several processes. Of one that lies on a shared shelf, the member that wraps lies on this
// machine, too.
type Ring struct {
	shelf    Shelf
	near     *dirShelf // of a shared shelf: the porch; nil: there is no other place
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
// asks no service; a ring without a member needs Keep before it can wrap.
func OpenRing(keysDir string, services ...Service) (*Ring, error) {
	shelf, err := openDirShelf(keysDir)
	if err != nil {
		return nil, fmt.Errorf("open ring of keys: %w", err)
	}
	r := newRing(shelf, nil, services)
	if _, err := r.current(context.Background()); err != nil && !errors.Is(err, errNoKEK) { // it waits for nothing
		return nil, fmt.Errorf("open ring of keys: %w", err)
	}
	return r, nil
}

// OpenSharedRing opens the ring of a shared shelf, whose porch on this machine is dir: see OpenShared. It asks neither a service nor
// the shelf.
func OpenSharedRing(s Shelf, dir string, services ...Service) (*Ring, error) {
	near, err := openDirShelf(dir)
	if err != nil {
		return nil, fmt.Errorf("open ring of keys: %w", err)
	}
	return newRing(s, near, services), nil
}

func newRing(s Shelf, near *dirShelf, services []Service) *Ring {
	return &Ring{shelf: s, near: near, services: services, now: time.Now, opened: make(map[string]*openedKEK)}
}

// Begin makes the first member of a ring that has none. Only then does it need the service, and the shelf.
func (r *Ring) Begin(ctx context.Context) error {
	_, err := r.current(ctx)
	if errors.Is(err, errNoKEK) {
		return r.Keep(ctx)
	}
	if err != nil {
		return fmt.Errorf("begin ring of keys: %w", err)
	}
	return nil
}

// current gives the member that wraps. That is a small file for each key that is made; the member itself is read when it changes. On
// this machine it may be the one of a minute ago.
func (r *Ring) current(ctx context.Context) (*member, error) {
	if r.near == nil {
		return r.currentOf(ctx, r.shelf)
	}
	m, err := r.currentOf(ctx, r.near)
	if errors.Is(err, errNoKEK) {
		return r.adopt(ctx)
	}
	return m, err
}

func (r *Ring) currentOf(ctx context.Context, s Shelf) (*member, error) {
	b, err := s.Get(ctx, currentName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoKEK
	}
	if err != nil {
		return nil, err
	}
	id := strings.TrimSpace(string(b))
	r.mu.Lock()
	known := r.member
	r.mu.Unlock()
	if known != nil && known.ID == id {
		return known, nil
	}
	m, err := r.read(ctx, id)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.member = m
	return m, nil
}

// read reads a member. One that is not there is ErrWrongKey: no service needs to be asked.
func (r *Ring) read(ctx context.Context, id string) (*member, error) {
	if checkedKEKID(id) == "" {
		return nil, fmt.Errorf("%w: member %.40q of the ring", ErrDamaged, id)
	}
	b, err := []byte(nil), fs.ErrNotExist
	if r.near != nil {
		b, err = r.near.Get(ctx, memberName(id))
	}
	if errors.Is(err, fs.ErrNotExist) {
		b, err = r.shelf.Get(ctx, memberName(id))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the ring has no member %s: restore %s of the keys from your backup", ErrWrongKey, id, memberName(id))
	}
	if err != nil {
		return nil, err
	}
	return parseMember(id, b)
}

// Wrap implements Wrapper. It touches no network once the ring has a member.
func (r *Ring) Wrap(ctx context.Context, _ string, secret []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, err := r.current(ctx)
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
	m, err := r.read(ctx, id) // each time: what another process has retired is gone at once
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
		return nil, fmt.Errorf("%w: the public half of member %s of the ring is another's: somebody changed %s of the keys", ErrDamaged, id, memberName(id))
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
