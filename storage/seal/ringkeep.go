package seal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

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
