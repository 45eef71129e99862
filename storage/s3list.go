package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/minio/minio-go/v7"
)

// List implements Store. The listing of S3 has no metadata and no retention: each version costs a request.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for v, err := range s.Versions(ctx, prefix) {
			if err != nil {
				yield(Info{}, err)
				return
			}
			if v.Marker {
				continue
			}
			info, err := s.stat(ctx, v.Ref)
			if errors.Is(err, ErrNotFound) {
				continue // deleted meanwhile
			}
			if err != nil {
				info, err = Info{Ref: v.Ref}, fmt.Errorf("list objects: %s: %w", v.Key, err)
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// Versions implements Store.
func (s *S3) Versions(ctx context.Context, prefix string) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Version{}, fmt.Errorf("list objects: %w", err))
			return
		}
		if err := ctx.Err(); err != nil {
			yield(Version{}, fmt.Errorf("list objects: %w", err))
			return
		}
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		for object := range s.core.ListObjectsIter(inner, s.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true, WithVersions: true}) {
			if object.Err != nil {
				yield(Version{}, fmt.Errorf("list objects: %w", s3Error(ctx, object.Err)))
				return
			}
			v := Version{Ref: Ref{Key: object.Key, VersionID: object.VersionID}, Current: object.IsLatest, Marker: object.IsDeleteMarker}
			if !yield(v, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Version{}, fmt.Errorf("list objects: %w", err))
		}
	}
}
