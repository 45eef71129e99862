package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

const (
	// MaxKeyFileBytes is the longest file of a KeyBucket.
	MaxKeyFileBytes = 64 << 10
	// KeyBucketTimeout is how long one request of a KeyBucket and its repetitions may take.
	KeyBucketTimeout = 10 * time.Second
	// removeTries is how often a file is removed that others keep writing.
	removeTries = 4
)

// A KeyBucket keeps small files, as wrapped keys, in a bucket without versions, so that what is removed is gone. It is not a Store:
// files are replaced and removed, and whoever writes says what must be there. Use one that holds nothing else.
//
// Its errors are those of fs where a file is there or is not, and ErrUnavailable, ErrDenied and ErrMismatch. Every method may be repeated.
type KeyBucket struct {
	core   *minio.Core
	clock  *clockReader
	bucket string
	region string

	turn   chan struct{} // capacity 1: whoever proves the bucket
	proven bool          // of who has the turn
}

// NewKeyBucket makes a client; it does not talk to the service: see Check.
func NewKeyBucket(cfg S3Config) (*KeyBucket, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = KeyBucketTimeout
	}
	s, err := newS3(cfg)
	if err != nil {
		return nil, fmt.Errorf("configure bucket of keys: %w", err)
	}
	return &KeyBucket{core: s.core, clock: s.clock, bucket: s.bucket, region: s.region, turn: make(chan struct{}, 1)}, nil
}

// Bucket is the name of the bucket.
func (k *KeyBucket) Bucket() string { return k.bucket }

// Get reads a file: fs.ErrNotExist, or ErrMismatch if it is longer than MaxKeyFileBytes.
func (k *KeyBucket) Get(ctx context.Context, name string) ([]byte, error) {
	b, _, err := k.get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("get %s from bucket %s: %w", name, k.bucket, err)
	}
	return b, nil
}

func (k *KeyBucket) get(ctx context.Context, name string) (b []byte, etag string, err error) {
	if err := CheckKey(name); err != nil {
		return nil, "", err
	}
	limited, cancel := context.WithTimeout(ctx, KeyBucketTimeout)
	defer cancel()
	body, info, _, err := k.core.GetObject(limited, k.bucket, name, minio.GetObjectOptions{})
	if err != nil {
		return nil, "", k.error(ctx, err)
	}
	defer body.Close()
	if b, err = io.ReadAll(io.LimitReader(body, MaxKeyFileBytes+1)); err != nil {
		return nil, "", k.error(ctx, err)
	}
	if len(b) > MaxKeyFileBytes {
		return nil, "", fmt.Errorf("%w: it has more than %d bytes", ErrMismatch, MaxKeyFileBytes)
	}
	return b, info.ETag, nil
}

// Put writes a file if it holds exactly old now; nil: if there is none. It is then whole and durable, or as it was. Of several that
// write at the same time one succeeds: fs.ErrExist if it holds something else, fs.ErrNotExist if it is gone. The first Put is preceded
// by Check.
func (k *KeyBucket) Put(ctx context.Context, name string, old, b []byte) error {
	err := k.prove(ctx)
	if err == nil {
		err = k.put(ctx, name, old, b)
	}
	if err != nil {
		return fmt.Errorf("put %s into bucket %s: %w", name, k.bucket, err)
	}
	return nil
}

func (k *KeyBucket) put(ctx context.Context, name string, old, b []byte) error {
	if err := CheckKey(name); err != nil {
		return err
	}
	if len(b) == 0 || len(b) > MaxKeyFileBytes {
		return fmt.Errorf("%w: %d bytes, 1 to %d are allowed", ErrInvalid, len(b), MaxKeyFileBytes)
	}
	etag := ""
	if old != nil {
		now, tag, err := k.get(ctx, name)
		if err != nil {
			return err
		}
		if !bytes.Equal(now, old) {
			return fs.ErrExist
		}
		etag = tag
	}
	err := k.send(ctx, name, etag, b)
	if !refusedCondition(err) {
		return err
	}
	// An attempt before may have done it, whose answer was lost; or somebody else is writing, and nobody knows yet with what success.
	switch now, _, getErr := k.get(ctx, name); {
	case errors.Is(getErr, fs.ErrNotExist) && old != nil:
		return getErr
	case errors.Is(getErr, fs.ErrNotExist), getErr == nil && old != nil && bytes.Equal(now, old):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case getErr != nil:
		return getErr
	case bytes.Equal(now, b):
		return nil
	}
	return fs.ErrExist
}

// refusedCondition tells whether the service did not write because of what is there, or what somebody else was writing.
func refusedCondition(err error) bool {
	response := minio.ToErrorResponse(err)
	return response.StatusCode == http.StatusPreconditionFailed || response.StatusCode == http.StatusConflict || errors.Is(err, fs.ErrNotExist)
}

// send writes a file whose entity tag must be this now; "": which must not be there.
func (k *KeyBucket) send(ctx context.Context, name, etag string, b []byte) error {
	limited, cancel := context.WithTimeout(ctx, KeyBucketTimeout)
	defer cancel()
	sum := sha256.Sum256(b)
	opts := minio.PutObjectOptions{
		UserMetadata: map[string]string{headerChecksum: base64.StdEncoding.EncodeToString(sum[:])}, DisableContentSha256: true,
	}
	if etag == "" {
		opts.SetMatchETagExcept("*")
	} else {
		opts.SetMatchETag(etag)
	}
	info, err := k.core.PutObject(limited, k.bucket, name, bytes.NewReader(b), int64(len(b)), "", hex.EncodeToString(sum[:]), opts)
	if err != nil {
		return k.error(ctx, err)
	}
	if info.VersionID != "" {
		return k.versioned()
	}
	return nil
}

func (k *KeyBucket) versioned() error {
	return fmt.Errorf("%w: versioning was enabled on the bucket, so that nothing in it can be destroyed: "+
		"copy the keys into a new bucket, whose versioning was never enabled, and delete this one with all its versions", ErrMismatch)
}

// Remove removes a file, and asks whether it is gone. That there is none is no error.
func (k *KeyBucket) Remove(ctx context.Context, name string) error {
	if err := k.remove(ctx, name); err != nil {
		return fmt.Errorf("remove %s from bucket %s: %w", name, k.bucket, err)
	}
	return nil
}

func (k *KeyBucket) remove(ctx context.Context, name string) error {
	if err := CheckKey(name); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, KeyBucketTimeout)
	defer cancel()
	for range removeTries {
		if err := k.core.RemoveObject(limited, k.bucket, name, minio.RemoveObjectOptions{}); err != nil {
			if err = k.error(ctx, err); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		info, err := k.core.StatObject(limited, k.bucket, name, minio.StatObjectOptions{})
		if info.IsDeleteMarker {
			return k.versioned()
		}
		if err != nil {
			if err = k.error(ctx, err); errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
	}
	return fmt.Errorf("%w: it is there again each time", ErrUnavailable)
}

// List yields the names that begin with prefix, in their order. An error ends the sequence. What is there all the while is seen.
func (k *KeyBucket) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := checkPrefix(prefix)
		if err == nil {
			err = ctx.Err()
		}
		listed, cancel := context.WithCancel(ctx)
		defer cancel()
		if err == nil {
			for object := range k.core.ListObjectsIter(listed, k.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
				if object.Err != nil {
					err = k.error(ctx, object.Err)
					break
				}
				if !strings.HasPrefix(object.Key, probePrefix) && !yield(object.Key, nil) {
					return
				}
			}
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			yield("", fmt.Errorf("list bucket %s: %w", k.bucket, err))
		}
	}
}

// error says what an error of the client is: of a file that is not there fs.ErrNotExist.
func (k *KeyBucket) error(ctx context.Context, err error) error {
	response := minio.ToErrorResponse(err)
	switch {
	case response.Code == minio.NoSuchBucket:
		return fmt.Errorf("there is no bucket %s: create it without versioning and without object lock", k.bucket)
	case response.StatusCode == http.StatusNotFound:
		return fs.ErrNotExist
	case response.StatusCode == http.StatusPreconditionFailed || response.StatusCode == http.StatusConflict && ctx.Err() == nil:
		return err
	}
	return s3Error(ctx, err)
}
