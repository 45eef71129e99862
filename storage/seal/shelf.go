package seal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"iter"
	"strings"
)

// A Shelf is where wrapped keys and tombstones lie: small files with names as "3f/ID.age", which every process sees that uses the
// shelf. Its methods may be called at the same time. While a shelf that is reached by a network is away, they give ErrUnavailable.
type Shelf interface {
	// Get reads a file of at most 64 KiB: fs.ErrNotExist, or ErrDamaged if it is longer.
	Get(ctx context.Context, name string) ([]byte, error)
	// Put writes a file if it holds exactly old now; nil: if there is none. It is then whole and durable, or as it was. Of several
	// that write at the same time one succeeds: fs.ErrExist if the file holds something else, fs.ErrNotExist if it is gone.
	Put(ctx context.Context, name string, old, b []byte) error
	// Remove removes a file, and its bytes as far as the shelf can. That there is none is no error.
	Remove(ctx context.Context, name string) error
	// List yields the names that begin with prefix, in no order. An error ends the sequence. What is there all the while is seen.
	List(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// A locker is a shelf with locks between processes. Without them every step is right on its own: whoever has written looks again.
type locker interface {
	lock(name string, how hold) (unlock func(), err error)
}

// lock waits for a lock of the shelf, if it has any.
func (k *Keys) lock(name string, how hold) (unlock func(), err error) {
	if l, ok := k.shelf.(locker); ok {
		return l.lock(name, how)
	}
	return func() {}, nil
}

// The ends of names. What stands before is an id.
const (
	keySuffix       = ".age"
	tombstoneSuffix = ".destroyed"
)

// fileName is where something about id lies. Shards keep directories small, and by a hash because ids begin with the time.
func fileName(id, suffix string) string { return shardOf(id) + "/" + id + suffix }

func shardOf(id string) string {
	h := sha256.Sum256([]byte(id))
	return hex.EncodeToString(h[:1])
}

// parseName gives the id of a file with that suffix. Of any other, and of one that nobody would look for there, it is "".
func parseName(name, suffix string) string {
	shard, file, _ := strings.Cut(name, "/")
	id, ok := strings.CutSuffix(file, suffix)
	if !ok || CheckID(id) != nil || shardOf(id) != shard {
		return ""
	}
	return id
}

// has tells whether there is a file of that name, whatever is in it.
func has(ctx context.Context, s Shelf, name string) (bool, error) {
	_, err := s.Get(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, ErrDamaged):
		return true, nil
	}
	return err == nil, err
}
