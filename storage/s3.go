package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// Headers of S3 Object Lock, which the service adds to the answer of a HEAD if the credentials may see them.
const (
	headerLockMode  = "X-Amz-Object-Lock-Mode"
	headerLockUntil = "X-Amz-Object-Lock-Retain-Until-Date"
	headerLegalHold = "X-Amz-Object-Lock-Legal-Hold"
)

// Check implements Store.
func (s *S3) Check(ctx context.Context) error {
	exists, err := s.core.BucketExists(ctx, s.bucket)
	if err := s.clock.check(); err != nil { // it may be why the service refused
		return fmt.Errorf("check bucket %s: %w", s.bucket, err)
	}
	if err != nil {
		return fmt.Errorf("check bucket %s: %w", s.bucket, s3Error(ctx, err))
	}
	if !exists {
		return fmt.Errorf("check bucket %s: there is no such bucket: create it with object lock enabled", s.bucket)
	}
	versioning, err := s.core.GetBucketVersioning(ctx, s.bucket)
	if err != nil {
		return fmt.Errorf("check versioning of bucket %s: %w", s.bucket, s3Error(ctx, err))
	}
	if !versioning.Enabled() {
		return fmt.Errorf("check bucket %s: versioning is not enabled: enable it, with object lock", s.bucket)
	}
	lock, mode, validity, unit, err := s.core.GetObjectLockConfig(ctx, s.bucket)
	switch code := minio.ToErrorResponse(err).Code; {
	case code == "ObjectLockConfigurationNotFoundError" || err == nil && lock != minio.Enabled:
		return fmt.Errorf("check bucket %s: object lock is not enabled: enable it, or create a bucket with it (many services allow it at creation only)", s.bucket)
	case err != nil:
		return fmt.Errorf("check object lock of bucket %s: %w", s.bucket, s3Error(ctx, err))
	case mode != nil && validity != nil && unit != nil:
		return fmt.Errorf("check bucket %s: it has a default retention (%s, %d %s), which would lock recordings that may still have to be erased: remove it",
			s.bucket, *mode, *validity, *unit)
	}
	return nil
}

// EnsureBucket creates the bucket, with versioning and object lock, if there is none; then it does what Check does. It is for an
// operator's explicit command and for tests: a server must not create what it has been configured to find.
func (s *S3) EnsureBucket(ctx context.Context) error {
	exists, err := s.core.BucketExists(ctx, s.bucket)
	if err != nil {
		return fmt.Errorf("look for bucket %s: %w", s.bucket, s3Error(ctx, err))
	}
	if !exists {
		err := s.core.MakeBucket(ctx, s.bucket, minio.MakeBucketOptions{Region: s.region, ObjectLocking: true})
		// Another process may have been quicker; Check judges what it made.
		if code := minio.ToErrorResponse(err).Code; err != nil && code != minio.BucketAlreadyOwnedByYou {
			return fmt.Errorf("create bucket %s: %w", s.bucket, s3Error(ctx, err))
		}
	}
	return s.Check(ctx)
}

// Stat implements Store.
func (s *S3) Stat(ctx context.Context, ref Ref) (Info, error) {
	info, err := s.stat(ctx, ref)
	if err != nil {
		return Info{}, fmt.Errorf("stat object %s: %w", ref.Key, err)
	}
	return info, nil
}

func (s *S3) stat(ctx context.Context, ref Ref) (Info, error) {
	if err := checkRef(ref); err != nil {
		return Info{}, err
	}
	object, err := s.core.StatObject(ctx, s.bucket, ref.Key, minio.StatObjectOptions{VersionID: ref.VersionID})
	if err != nil {
		return Info{}, s3NotFound(ctx, ref, err)
	}
	return s3Info(ref, object)
}

func s3Info(ref Ref, object minio.ObjectInfo) (Info, error) {
	h := object.Headers
	info := Info{
		Ref: Ref{Key: ref.Key, VersionID: object.VersionID}, Size: object.Size, Modified: object.LastModified.UTC(),
		ContentType: object.ContentType, LegalHold: strings.EqualFold(h.Get(headerLegalHold), "ON"),
	}
	if info.VersionID == "" || info.VersionID == "null" {
		return Info{}, fmt.Errorf("%w: the version has no id: enable versioning and object lock on the bucket", ErrMismatch)
	}
	if ref.VersionID != "" && ref.VersionID != info.VersionID {
		return Info{}, fmt.Errorf("%w: asked for version %s, got %s", ErrMismatch, ref.VersionID, info.VersionID)
	}
	for name, value := range object.UserMetadata {
		if name = strings.ToLower(name); name == metaSHA256 {
			info.SHA256 = value
			continue
		}
		if info.Metadata == nil {
			info.Metadata = make(map[string]string)
		}
		info.Metadata[name] = value
	}
	mode, until := strings.ToUpper(h.Get(headerLockMode)), h.Get(headerLockUntil)
	if mode == "" && until == "" {
		return info, nil
	}
	t, err := time.Parse(time.RFC3339, until)
	if err != nil {
		return Info{}, fmt.Errorf("%w: retention %q until %q", ErrMismatch, mode, until)
	}
	info.Retention = Retention{Mode: Mode(mode), Until: t.UTC()}
	return info, nil
}

// Lock implements Store. Some services let a retention be shortened, so it is compared here as well.
func (s *S3) Lock(ctx context.Context, ref Ref, r Retention) error {
	if err := s.lock(ctx, ref, r.Rounded()); err != nil {
		return fmt.Errorf("lock object %s: %w", ref.Key, err)
	}
	return nil
}

func (s *S3) lock(ctx context.Context, ref Ref, r Retention) error {
	if err := checkVersion(ref); err != nil {
		return err
	}
	if r.IsZero() {
		return fmt.Errorf("%w: no retention given", ErrInvalid)
	}
	now := time.Now()
	if err := r.checkSet(now); err != nil {
		return err
	}
	info, err := s.stat(ctx, ref)
	if err != nil {
		return err
	}
	if info.Retention.Equal(r) {
		return nil
	}
	if err := info.Retention.yieldsTo(r, now); err != nil {
		return err
	}
	mode := minio.RetentionMode(r.Mode)
	err = s.core.PutObjectRetention(ctx, s.bucket, ref.Key, minio.PutObjectRetentionOptions{
		Mode: &mode, RetainUntilDate: &r.Until, VersionID: ref.VersionID,
	})
	if err != nil {
		return s.refused(ctx, ref, now, err)
	}
	info, err = s.stat(ctx, ref)
	if err != nil {
		return err
	}
	// Another writer may have locked for longer in the meantime.
	if !info.Retention.Covers(r) {
		return retentionMismatch(r, info.Retention)
	}
	return nil
}

func retentionMismatch(want, got Retention) error {
	return fmt.Errorf("%w: asked for retention %v, the service says %v: check that object lock is enabled and that the credentials may read retention",
		ErrMismatch, want, got)
}

// Hold implements Store.
func (s *S3) Hold(ctx context.Context, ref Ref, on bool) error {
	if err := s.hold(ctx, ref, on); err != nil {
		return fmt.Errorf("hold object %s: %w", ref.Key, err)
	}
	return nil
}

func (s *S3) hold(ctx context.Context, ref Ref, on bool) error {
	if err := checkVersion(ref); err != nil {
		return err
	}
	status := minio.LegalHoldDisabled
	if on {
		status = minio.LegalHoldEnabled
	}
	err := s.core.PutObjectLegalHold(ctx, s.bucket, ref.Key, minio.PutObjectLegalHoldOptions{Status: &status, VersionID: ref.VersionID})
	if err != nil {
		return s3NotFound(ctx, ref, err)
	}
	info, err := s.stat(ctx, ref)
	if err != nil {
		return err
	}
	if info.LegalHold != on {
		return fmt.Errorf("%w: asked for legal hold %t, the service says %t: check that the credentials may read legal holds", ErrMismatch, on, info.LegalHold)
	}
	return nil
}

// Delete implements Store. Whether a version is locked is for the service to say, by its own clock.
func (s *S3) Delete(ctx context.Context, ref Ref) error {
	err, asked := checkVersion(ref), time.Now()
	if err == nil {
		err = s.core.RemoveObject(ctx, s.bucket, ref.Key, minio.RemoveObjectOptions{VersionID: ref.VersionID})
		if err != nil {
			err = s.refused(ctx, ref, asked, err)
		}
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("delete object %s: %w", ref.Key, err)
	}
	return nil
}

// refused gives the error of a change that the service did not make. A lock is answered with 403 by some and with 400 by others,
// and 403 has other causes too; so the version is asked whether it was locked when the change was asked for.
func (s *S3) refused(ctx context.Context, ref Ref, asked time.Time, err error) error {
	mapped := s3NotFound(ctx, ref, err)
	if isFinal(mapped) {
		return mapped
	}
	response := minio.ToErrorResponse(err)
	worm := response.StatusCode == http.StatusBadRequest && strings.Contains(response.Message, "WORM")
	if !worm && response.StatusCode != http.StatusForbidden {
		return mapped
	}
	info, statErr := s.stat(ctx, ref)
	if worm || statErr == nil && (info.LegalHold || info.Retention.Active(asked)) {
		return fmt.Errorf("%w: %v, legal hold %t: %s", ErrLocked, info.Retention, info.LegalHold, response.Message)
	}
	return mapped
}

// Bucket is the name of the bucket.
func (s *S3) Bucket() string { return s.bucket }
