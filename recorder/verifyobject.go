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

// object reads an object whole, sealed and opened, and compares both hashes. An empty plainSum is not compared.
func (v *verification) object(ctx context.Context, id string, ref storage.Ref, sealedSum, plainSum string) error {
	object, err := v.Store.Open(ctx, ref)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer object.Close()
	size := object.Info().Size
	paced := pacedReader{object, ctx, v}
	sealed := newCounter(io.Discard)
	if _, err := io.Copy(sealed, io.NewSectionReader(paced, 0, size)); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if sealed.sum() != sealedSum {
		return errors.New("its bytes have changed")
	}
	key, err := v.Keys.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("get key: %w", err)
	}
	plain, err := key.Decrypt(paced, size)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	sum := newCounter(io.Discard)
	if _, err := io.Copy(sum, plain); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if plainSum != "" && sum.sum() != plainSum {
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
