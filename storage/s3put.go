package storage

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
)

const (
	headerChecksum          = "X-Amz-Checksum-Sha256"
	headerChecksumAlgorithm = "X-Amz-Checksum-Algorithm"

	// abortTimeout is for telling the service to forget the parts of a failed upload.
	abortTimeout = 30 * time.Second
)

// Put implements Store. The content is read and hashed before the first byte is sent; each request then carries the SHA-256 of its
// body, signed, and the service refuses anything else. So no request needs a trailer, and a repeated one sends the same bytes.
func (s *S3) Put(ctx context.Context, key string, r io.ReaderAt, size int64, o PutOptions) (Ref, error) {
	lent := &lease{r: r}
	defer lent.end()
	ref, err := s.put(ctx, key, lent, size, o)
	if err != nil {
		return Ref{}, fmt.Errorf("put object %s: %w", key, lent.blame(err))
	}
	return ref, nil
}

func (s *S3) put(ctx context.Context, key string, r io.ReaderAt, size int64, o PutOptions) (Ref, error) {
	o.Retention = o.Retention.Rounded()
	if err := checkPut(key, size, o); err != nil {
		return Ref{}, err
	}
	if !o.Retention.IsZero() {
		if err := o.Retention.checkSet(time.Now()); err != nil {
			return Ref{}, err
		}
	}
	c, err := hashContent(ctx, r, size, s.partSize)
	if err != nil {
		return Ref{}, err
	}
	if o.SHA256 != "" && o.SHA256 != c.sum {
		return Ref{}, fmt.Errorf("%w: SHA-256 is %s, want %s", ErrMismatch, c.sum, o.SHA256)
	}
	// Some services do not know the condition that the key is free. To look first makes a repeated put of the same no second version there,
	// either; only of two at the same time each may make one.
	if info, err := s.stat(ctx, Ref{Key: key}); err == nil {
		return s.adopt(ctx, info, c, o)
	} else if errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
		return Ref{}, err
	}
	versionID, err := s.upload(ctx, key, c, o)
	if err == nil {
		return s.readBack(ctx, Ref{Key: key, VersionID: versionID}, c, o)
	}
	if !alreadyThere(err) {
		return Ref{}, s3Error(ctx, err)
	}
	info, statErr := s.stat(ctx, Ref{Key: key})
	if errors.Is(statErr, ErrNotFound) {
		// Whatever was there is gone, or hidden: the next attempt will write.
		return Ref{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if statErr != nil {
		return Ref{}, statErr
	}
	return s.adopt(ctx, info, c, o)
}

// alreadyThere says whether the service answered that the key has an object, or that an upload was completed before: by an attempt
// whose answer was lost.
func alreadyThere(err error) bool {
	response := minio.ToErrorResponse(err)
	return response.StatusCode == http.StatusPreconditionFailed || response.Code == minio.NoSuchUpload
}

// adopt answers a Put of what is there already.
func (s *S3) adopt(ctx context.Context, info Info, c *content, o PutOptions) (Ref, error) {
	if info.SHA256 != c.sum || info.Size != c.size {
		return Ref{}, fmt.Errorf("%w (version %s)", ErrExists, info.VersionID)
	}
	if !info.Retention.Covers(o.Retention) {
		if err := s.lock(ctx, info.Ref, o.Retention); err != nil {
			return Ref{}, err
		}
	}
	return info.Ref, nil
}

// readBack asks the service what it has stored.
func (s *S3) readBack(ctx context.Context, ref Ref, c *content, o PutOptions) (Ref, error) {
	if ref.VersionID == "" {
		return Ref{}, fmt.Errorf("%w: the service gave no version id: enable versioning and object lock on the bucket", ErrMismatch)
	}
	info, err := s.stat(ctx, ref)
	if err == nil && info.Retention.IsZero() && !o.Retention.IsZero() { // some services lose it when an object is put together of parts
		if err = s.lock(ctx, ref, o.Retention); err == nil {
			info, err = s.stat(ctx, ref)
		}
	}
	if err != nil {
		return Ref{}, err
	}
	switch {
	case info.Size != c.size || info.SHA256 != c.sum:
		return Ref{}, fmt.Errorf("%w: sent %d bytes with SHA-256 %s, the service says %d and %q", ErrMismatch, c.size, c.sum, info.Size, info.SHA256)
	case !maps.Equal(info.Metadata, o.Metadata):
		return Ref{}, fmt.Errorf("%w: the service changed the metadata", ErrMismatch)
	case !o.Retention.IsZero() && !info.Retention.Equal(o.Retention):
		return Ref{}, retentionMismatch(o.Retention, info.Retention)
	}
	return info.Ref, nil
}

// upload writes the object unless the key has one, and gives its version id.
func (s *S3) upload(ctx context.Context, key string, c *content, o PutOptions) (versionID string, err error) {
	meta := map[string]string{metaSHA256: c.sum}
	maps.Copy(meta, o.Metadata)
	opts := minio.PutObjectOptions{
		UserMetadata: meta, ContentType: o.ContentType, Mode: minio.RetentionMode(o.Retention.Mode), RetainUntilDate: o.Retention.Until,
		DisableContentSha256: true, // we sign the hash of the body ourselves
	}
	opts.SetMatchETagExcept("*")
	if len(c.parts) > 1 {
		return s.uploadParts(ctx, key, c, opts)
	}
	meta[headerChecksum] = base64.StdEncoding.EncodeToString(c.parts[0])
	info, err := s.core.PutObject(ctx, s.bucket, key, c.part(0), c.size, "", hex.EncodeToString(c.parts[0]), opts)
	return info.VersionID, err
}

// uploadParts is a multipart upload. The condition that the key is free counts when it is completed; the client's own PutObject
// does not send it then.
func (s *S3) uploadParts(ctx context.Context, key string, c *content, opts minio.PutObjectOptions) (versionID string, err error) {
	opts.UserMetadata[headerChecksumAlgorithm] = "SHA256"
	id, err := s.core.NewMultipartUpload(ctx, s.bucket, key, opts)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			// Best effort: what stays behind is for a lifecycle rule (AbortIncompleteMultipartUpload).
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
			defer cancel()
			_ = s.core.AbortMultipartUpload(ctx, s.bucket, key, id)
		}
	}()
	complete := make([]minio.CompletePart, len(c.parts))
	for i, sum := range c.parts {
		checksum := base64.StdEncoding.EncodeToString(sum)
		body := c.part(i)
		part, err := s.core.PutObjectPart(ctx, s.bucket, key, id, i+1, body, body.Size(), minio.PutObjectPartOptions{
			Sha256Hex: hex.EncodeToString(sum), CustomHeader: http.Header{headerChecksum: {checksum}}, DisableContentSha256: true,
		})
		if err != nil {
			return "", err
		}
		complete[i] = minio.CompletePart{PartNumber: i + 1, ETag: part.ETag, ChecksumSHA256: checksum}
	}
	var last minio.PutObjectOptions
	last.SetMatchETagExcept("*")
	info, err := s.core.CompleteMultipartUpload(ctx, s.bucket, key, id, complete, last)
	return info.VersionID, err
}

// content is what is to be sent, with the hash of the whole and of each part.
type content struct {
	r        io.ReaderAt
	size     int64
	partSize int64
	sum      string   // of the whole, hexadecimal
	parts    [][]byte // at least one
}

// hashContent reads r once. A large object gets larger parts, so that there are not too many.
func hashContent(ctx context.Context, r io.ReaderAt, size, partSize int64) (*content, error) {
	c := &content{r: r, size: size, partSize: max(partSize, (size+maxParts-1)/maxParts)}
	whole := sha256.New()
	for offset := int64(0); offset < size || len(c.parts) == 0; offset += c.partSize {
		length := min(c.partSize, size-offset)
		part := sha256.New()
		if err := copyAt(ctx, io.MultiWriter(whole, part), io.NewSectionReader(r, offset, length), length); err != nil {
			return nil, err
		}
		c.parts = append(c.parts, part.Sum(nil))
	}
	c.sum = hexSum(whole)
	return c, nil
}

func (c *content) part(i int) *io.SectionReader {
	offset := int64(i) * c.partSize
	return io.NewSectionReader(c.r, offset, min(c.partSize, c.size-offset))
}
