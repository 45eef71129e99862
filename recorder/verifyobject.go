package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
)

// objectContentType is that of every object of ours.
const objectContentType = "application/age"

// errChanged is an object whose bytes are not those that were stored.
var errChanged = errors.New("its bytes have changed")

// sealed reads an object whole, as it is in the store, and compares its hash.
func (v *verification) sealed(ctx context.Context, ref storage.Ref, want string) error {
	object, err := v.Store.Open(ctx, ref)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer object.Close()
	sum := newCounter(io.Discard)
	if _, err := io.Copy(sum, io.NewSectionReader(pacedReader{object, ctx, v}, 0, object.Info().Size)); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if sum.sum() != want {
		return errChanged
	}
	return nil
}

// opened reads an object whole, opened by its key, and compares the hash of what is in it. An empty hash is not compared.
func (v *verification) opened(ctx context.Context, id string, ref storage.Ref, want string) error {
	object, err := v.Store.Open(ctx, ref)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer object.Close()
	key, err := v.Keys.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("get key: %w", err)
	}
	plain, err := key.Decrypt(pacedReader{object, ctx, v}, object.Info().Size)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	sum := newCounter(io.Discard)
	if _, err := io.Copy(sum, plain); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if want != "" && sum.sum() != want {
		return errors.New("its content is not what was recorded")
	}
	return nil
}

// A pacedReader reads an object at the pace of a verification.
type pacedReader struct {
	io.ReaderAt
	ctx context.Context // of the verification: the reader lives no longer
	v   *verification
}

// ReadAt implements io.ReaderAt.
func (p pacedReader) ReadAt(b []byte, offset int64) (int, error) {
	n, err := p.ReaderAt.ReadAt(b, offset)
	if paceErr := p.v.pace(p.ctx, int64(n)); paceErr != nil {
		p.v.stop(paceErr)
		return n, paceErr
	}
	return n, err
}

// opens tells whether the key of a recording that is kept is there, and can be used.
func (c *check) opens(ctx context.Context) bool {
	_, err := c.Keys.Get(ctx, c.row.ID)
	switch {
	case err == nil:
		return true
	case ctx.Err() != nil:
	case errors.Is(err, seal.ErrUnavailable):
		c.stop(err)
	default:
		c.add(RetentionEarlyLoss, "its key: %v", err)
	}
	return false
}

// intact tells whether the bytes of an object are those that were stored, and tells of them if not.
func (c *check) intact(ctx context.Context, ref storage.Ref, what, sum string) bool {
	err := c.sealed(ctx, ref, sum)
	if err != nil {
		c.unreadable(ctx, ref, what, err)
	}
	return err == nil
}

// unreadable tells of an object that is not what it should be, or that cannot be opened any more. A store or a key service that is away
// is no finding: it ends the verification.
func (c *check) unreadable(ctx context.Context, ref storage.Ref, what string, err error) {
	if kind := c.kindOf(ctx, err); kind != "" {
		c.addAt(kind, ref, "%s: %v", what, err)
	}
}

// kindOf tells what an error at an object means; "" ends the verification.
func (v *verification) kindOf(ctx context.Context, err error) FindingKind {
	switch {
	case ctx.Err() != nil:
		return ""
	case isAway(err):
		// One object that cannot be read, of a bad disk, is a finding.
		if away := v.Store.Check(ctx); away != nil {
			v.stop(away)
			return ""
		}
	case errors.Is(err, seal.ErrUnavailable):
		v.stop(err)
		return ""
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, seal.ErrNotFound), errors.Is(err, seal.ErrDestroyed):
		return RetentionEarlyLoss
	}
	return HashMismatch
}

// inClear compares what stands in clear beside an object with what its sidecar says.
func (c *check) inClear(o storage.Info, want map[string]string) {
	if text := clearDiffers(o, want); text != "" {
		c.addAt(HashMismatch, o.Ref, "%s: %s", o.Key, text)
	}
}

// clearDiffers says what of an object's clear text is not what it should be, without saying what it is: "" nothing.
func clearDiffers(o storage.Info, want map[string]string) string {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if o.Metadata[name] != want[name] {
			return fmt.Sprintf("its metadata %s is not %s", name, want[name])
		}
	}
	switch {
	case len(o.Metadata) != len(want):
		return fmt.Sprintf("it has %d metadata, and should have %d", len(o.Metadata), len(want))
	case o.ContentType != objectContentType:
		return "its content type is not " + objectContentType
	}
	return ""
}
