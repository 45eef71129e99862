package seal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
)

const memberVersion = 1

// member is the file of one.
type member struct {
	Version   int       `json:"version"`
	ID        string    `json:"id"`
	Created   time.Time `json:"created"`
	Service   string    `json:"service"` // that wrapped it
	Recipient string    `json:"recipient"`
	Wrapped   []byte    `json:"wrapped"` // base64

	recipient recipient
}

func (m *member) marshal() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if len(b) >= maxWrappedBytes {
		return nil, fmt.Errorf("member of %d bytes, fewer than %d are allowed", len(b), maxWrappedBytes)
	}
	return append(b, '\n'), nil
}

// parseMember reads the member of that id.
func parseMember(id string, b []byte) (*member, error) {
	m := &member{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%w: member %s of the ring: %w", ErrDamaged, id, err)
	}
	if m.Version > memberVersion {
		return nil, fmt.Errorf("%w: member %s of the ring is of version %d: a newer program wrote it", ErrDamaged, id, m.Version)
	}
	parsed, err := age.ParseHybridRecipient(m.Recipient)
	if err != nil || m.Version != memberVersion || m.ID != id || kekID(parsed) != id || m.Created.IsZero() {
		return nil, fmt.Errorf("%w: member %s of the ring does not name itself", ErrDamaged, id)
	}
	m.recipient = parsed
	return m, nil
}

// A Member tells of one key-encryption key of a Ring.
type Member struct {
	ID      string
	Created time.Time
	Service string // that wrapped it
}

// Members lists them, the one that wraps first, then the newest first.
func (r *Ring) Members(ctx context.Context) ([]Member, error) {
	ids, err := r.IDs(ctx)
	if err != nil {
		return nil, err
	}
	var all []Member
	for _, id := range ids {
		m, err := r.read(ctx, id)
		if errors.Is(err, ErrWrongKey) {
			continue // just retired
		}
		if err != nil {
			return nil, fmt.Errorf("list ring of keys: %w", err)
		}
		all = append(all, Member{m.ID, m.Created, m.Service})
	}
	if len(all) > 1 {
		slices.SortFunc(all[1:], func(a, b Member) int { return b.Created.Compare(a.Created) })
	}
	return all, nil
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
