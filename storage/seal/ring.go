package seal

import (
	"bytes"
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

// adopt takes up the member that wraps on the shared shelf: it lies on this machine from then on.
func (r *Ring) adopt(ctx context.Context) (*member, error) {
	m, err := r.currentOf(ctx, r.shelf)
	if err != nil || r.near == nil {
		return m, err
	}
	old, err := r.near.Get(ctx, currentName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	line := []byte(m.ID + "\n")
	if bytes.Equal(old, line) {
		return m, nil
	}
	b, err := m.marshal()
	if err != nil {
		return nil, err
	}
	if err := r.near.Put(ctx, memberName(m.ID), nil, b); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	// If another process is quicker, it has just read what we have.
	if err := r.near.Put(ctx, currentName, old, line); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return m, nil
}

// forget erases the members on this machine that no key here needs any more.
func (r *Ring) forget(ctx context.Context, current string) error {
	if r.near == nil {
		return nil
	}
	needed := map[string]bool{current: true}
	for name, err := range r.near.List(ctx, "") {
		if err != nil {
			return err
		}
		if parseName(name, keySuffix) == "" {
			continue
		}
		b, err := r.near.Get(ctx, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		needed[markOf(b)] = true
	}
	for name, err := range r.near.List(ctx, ringPrefix) {
		if err != nil {
			return err
		}
		if id := parseMemberName(name); id != "" && !needed[id] {
			if err := r.near.Remove(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func memberName(id string) string { return ringPrefix + id + memberSfx }

// parseMemberName gives the id of a member's file; of any other "".
func parseMemberName(name string) string {
	file, within := strings.CutPrefix(name, ringPrefix)
	id, is := strings.CutSuffix(file, memberSfx)
	if !within || !is {
		return ""
	}
	return checkedKEKID(id)
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

// Keep is what a server does every minute: it makes a new member when the one that wraps is older than RenewAfter or was wrapped by
// another service than the first, and has its secret at hand, so that recordings are finished while the service is away.
func (r *Ring) Keep(ctx context.Context) error {
	m, err := r.adopt(ctx)
	if errors.Is(err, ErrUnavailable) && r.near != nil {
		if near, nearErr := r.currentOf(ctx, r.near); nearErr == nil { // its secret is needed all the same
			_, nearErr = r.open(ctx, near.ID)
			return fmt.Errorf("keep ring of keys: %w", errors.Join(err, nearErr))
		}
	}
	id := ""
	if err == nil && m.Service == r.services[0].Name && r.now().Sub(m.Created) < RenewAfter {
		_, err = r.open(ctx, m.ID)
		id = m.ID
	} else if err == nil || errors.Is(err, errNoKEK) {
		id, err = r.Renew(ctx)
	}
	if err == nil {
		err = r.forget(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("keep ring of keys: %w", err)
	}
	return nil
}

// IDs implements KEK.
func (r *Ring) IDs(ctx context.Context) ([]string, error) {
	current, err := r.adopt(ctx)
	if err != nil && !errors.Is(err, errNoKEK) {
		return nil, fmt.Errorf("list ring of keys: %w", err)
	}
	var ids []string
	for name, err := range r.shelf.List(ctx, ringPrefix) {
		if err != nil {
			return nil, fmt.Errorf("list ring of keys: %w", err)
		}
		if id := parseMemberName(name); id != "" {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		if current != nil && (a == current.ID) != (b == current.ID) {
			return b2i(b == current.ID) - b2i(a == current.ID)
		}
		return cmp.Compare(a, b)
	})
	return ids, nil
}

// Renew implements KEK. The service is asked to wrap the new member, and to unwrap it again before it is used. If another process
// renews the ring at the same time, its member will do.
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
	before, err := r.shelf.Get(ctx, currentName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
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
	if err := r.shelf.Put(ctx, memberName(m.ID), nil, b); err != nil {
		return "", err
	}
	err = r.shelf.Put(ctx, currentName, before, []byte(m.ID+"\n"))
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		if err := r.shelf.Remove(ctx, memberName(m.ID)); err != nil { // it has wrapped nothing
			return "", err
		}
	} else if err != nil {
		return "", err
	} else {
		r.mu.Lock()
		r.opened[m.ID] = &openedKEK{made, r.now()}
		r.mu.Unlock()
	}
	now, err := r.adopt(ctx)
	if err != nil {
		return "", err
	}
	return now.ID, nil
}

// Retire implements KEK. The one that wraps goes only with all others: when another KEK has taken the ring's place.
func (r *Ring) Retire(ctx context.Context, ids []string) error {
	members, err := r.IDs(ctx)
	if err != nil {
		return err
	}
	gone := slices.DeleteFunc(slices.Clone(members), func(id string) bool { return !slices.Contains(ids, id) })
	if len(gone) == 0 {
		return nil
	}
	current, err := r.adopt(ctx)
	if err != nil && !errors.Is(err, errNoKEK) {
		return fmt.Errorf("retire member of the ring: %w", err)
	}
	if current != nil && slices.Contains(gone, current.ID) {
		if len(members) != len(gone) {
			return fmt.Errorf("retire member %s of the ring: it is the one that wraps", current.ID)
		}
		if err := r.remove(ctx, currentName); err != nil {
			return fmt.Errorf("retire ring of keys: %w", err)
		}
	}
	for _, id := range gone {
		if err := r.remove(ctx, memberName(id)); err != nil {
			return fmt.Errorf("retire member %s of the ring: %w", id, err)
		}
		r.mu.Lock()
		delete(r.opened, id)
		r.mu.Unlock()
	}
	return nil
}

// remove removes a file of the ring, from this machine too.
func (r *Ring) remove(ctx context.Context, name string) error {
	err := r.shelf.Remove(ctx, name)
	if r.near != nil {
		err = errors.Join(err, r.near.Remove(ctx, name))
	}
	return err
}
