package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/minio/minio-go/v7"
)

// An S3Eraser deletes versions that are locked in GOVERNANCE mode, with credentials of its own that have the right to bypass it. It can do
// nothing else, and no S3 store can do this: give those credentials to nobody but it. What is locked in COMPLIANCE mode, or has a legal
// hold, nobody deletes.
type S3Eraser struct{ s *S3 }

// NewS3Eraser makes an eraser on the bucket of a store; its credentials are to be others than the store's. It does not talk to the service.
func NewS3Eraser(cfg S3Config) (*S3Eraser, error) {
	s, err := newS3(cfg)
	if err != nil {
		return nil, fmt.Errorf("configure S3 eraser: %w", err)
	}
	return &S3Eraser{s}, nil
}

// Erase removes a version for good, and asks the service again whether it is gone. Under a COMPLIANCE retention or a legal hold it is
// ErrLocked. A version that is not there is success.
func (e *S3Eraser) Erase(ctx context.Context, ref Ref) error {
	if err := e.erase(ctx, ref); err != nil {
		return fmt.Errorf("erase object %s: %w", ref.Key, err)
	}
	return nil
}

func (e *S3Eraser) erase(ctx context.Context, ref Ref) error {
	if err := checkVersion(ref); err != nil {
		return err
	}
	info, err := e.s.stat(ctx, ref)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case info.LegalHold: // some services let it be bypassed
		return fmt.Errorf("%w: legal hold", ErrLocked)
	}
	asked := time.Now()
	err = e.s.core.RemoveObject(ctx, e.s.bucket, ref.Key, minio.RemoveObjectOptions{VersionID: ref.VersionID, GovernanceBypass: true})
	if err != nil {
		if err = e.s.refused(ctx, ref, asked, err); !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	switch _, err := e.s.stat(ctx, ref); {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: the service says that version %s is deleted, and has it", ErrMismatch, ref.VersionID)
}

// A DirEraser does the same in a local directory, whose locks bind this program only.
type DirEraser struct{ d *Dir }

// NewDirEraser makes an eraser of a store.
func NewDirEraser(d *Dir) *DirEraser { return &DirEraser{d} }

// Erase is as that of S3Eraser.
func (e *DirEraser) Erase(ctx context.Context, ref Ref) error {
	err := e.d.change(ctx, ref, func(m *dirMeta) error {
		if m.LegalHold {
			return fmt.Errorf("%w: legal hold", ErrLocked)
		}
		if r := m.retention(); r.Mode == Compliance && r.Active(e.d.clock()) {
			return fmt.Errorf("%w: %v", ErrLocked, r)
		}
		return e.d.remove(ref)
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return dirError(fmt.Errorf("erase object %s: %w", ref.Key, err))
	}
	return nil
}
