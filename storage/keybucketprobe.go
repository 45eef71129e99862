package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"
)

const (
	// probePrefix is where Check tries what the service does. It removes what it has put there.
	probePrefix = "greffier-probe/"
	// probeWriters is how many write at the same time.
	probeWriters = 8
)

// EnsureBucket creates the bucket, without versioning, if there is none; then it does what Check does. It is for an operator's
// explicit command and for tests: a server must not create what it has been configured to find.
func (k *KeyBucket) EnsureBucket(ctx context.Context) error {
	exists, err := k.core.BucketExists(ctx, k.bucket)
	if err != nil {
		return fmt.Errorf("look for bucket %s: %w", k.bucket, s3Error(ctx, err))
	}
	if !exists {
		err := k.core.MakeBucket(ctx, k.bucket, minio.MakeBucketOptions{Region: k.region})
		if code := minio.ToErrorResponse(err).Code; err != nil && code != minio.BucketAlreadyOwnedByYou {
			return fmt.Errorf("create bucket %s: %w", k.bucket, s3Error(ctx, err))
		}
	}
	return k.Check(ctx)
}

// Check says whether the bucket can keep keys: whether what is removed from it is gone, which needs a bucket whose versioning was never
// enabled; and, once, by trying it, whether of several that write at the same time exactly one succeeds. If not, the error tells the
// operator what to do; ErrUnavailable may pass.
func (k *KeyBucket) Check(ctx context.Context) error {
	err := k.checkSettings(ctx)
	if err == nil {
		err = k.prove(ctx)
	}
	if err != nil {
		return fmt.Errorf("check bucket %s for keys: %w", k.bucket, err)
	}
	return nil
}

func (k *KeyBucket) checkSettings(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, KeyBucketTimeout)
	defer cancel()
	versioning, err := k.core.GetBucketVersioning(limited, k.bucket)
	if err := k.clock.check(); err != nil { // it may be why the service refused
		return err
	}
	if err != nil {
		return fmt.Errorf("read versioning: %w", k.settingError(ctx, err))
	}
	if versioning.Status != "" {
		return fmt.Errorf("its versioning is %q, so that a key that is destroyed may still be there: make a bucket whose versioning was never enabled", versioning.Status)
	}
	lock, _, _, _, err := k.core.GetObjectLockConfig(limited, k.bucket)
	switch code := minio.ToErrorResponse(err).Code; {
	case code == "ObjectLockConfigurationNotFoundError":
		return nil
	case err != nil:
		return fmt.Errorf("read object lock: %w", k.settingError(ctx, err))
	case lock == minio.Enabled:
		return errors.New("it has object lock, so that keys cannot be destroyed: make a bucket without it")
	}
	return nil
}

func (k *KeyBucket) settingError(ctx context.Context, err error) error {
	if err = k.error(ctx, err); errors.Is(err, fs.ErrNotExist) {
		return errors.New("the service does not tell: use another")
	}
	return err
}

// prove does once what must have been done before anything is written.
func (k *KeyBucket) prove(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if k.proven {
		return nil
	}
	if err := k.checkSettings(ctx); err != nil {
		return err
	}
	name := probePrefix + strings.ToLower(rand.Text())
	err := k.probe(ctx, name)
	if removeErr := k.remove(context.WithoutCancel(ctx), name); err == nil {
		err = removeErr
	}
	if err != nil {
		return err
	}
	k.proven = true
	return nil
}

// probe writes a file in every way that must succeed, and in every way that must not.
func (k *KeyBucket) probe(ctx context.Context, name string) error {
	value := func() []byte { return []byte(rand.Text()) }
	first, err := k.race(ctx, name, "")
	if err != nil {
		return err
	}
	if err := k.send(ctx, name, "", value()); !refusedCondition(err) {
		return k.unfit(err, "overwrites an object in spite of If-None-Match")
	}
	now, stale, err := k.get(ctx, name)
	if err != nil || !bytes.Equal(now, first) {
		return k.unfit(err, "does not give back what was written")
	}
	second, err := k.race(ctx, name, stale)
	if err != nil {
		return err
	}
	if err := k.send(ctx, name, stale, value()); !refusedCondition(err) {
		return k.unfit(err, "overwrites an object in spite of a stale If-Match")
	}
	now, etag, err := k.get(ctx, name)
	if err != nil || !bytes.Equal(now, second) {
		return k.unfit(err, "does not give back what was written with If-Match")
	}
	if err := k.remove(ctx, name); err != nil {
		return err
	}
	if err := k.send(ctx, name, etag, value()); !refusedCondition(err) {
		return k.unfit(err, "makes an object in spite of If-Match")
	}
	if _, _, err := k.get(ctx, name); !errors.Is(err, fs.ErrNotExist) {
		return k.unfit(err, "makes an object in spite of If-Match")
	}
	return nil
}

// race has several write at the same time: exactly one must succeed, and what it wrote is given.
func (k *KeyBucket) race(ctx context.Context, name, etag string) (winner []byte, err error) {
	var all sync.WaitGroup
	values, errs := make([][]byte, probeWriters), make([]error, probeWriters)
	for i := range probeWriters {
		values[i] = []byte(rand.Text())
		all.Go(func() { errs[i] = k.send(ctx, name, etag, values[i]) })
	}
	all.Wait()
	now, _, err := k.get(ctx, name)
	if err != nil {
		return nil, k.unfit(err, "does not keep what several write at the same time")
	}
	won := 0
	for i, err := range errs {
		if err != nil && !refusedCondition(err) {
			return nil, err
		}
		if err == nil {
			won++
		}
		if bytes.Equal(values[i], now) { // its answer may have been lost
			winner = values[i]
		}
	}
	if won > 1 || winner == nil {
		return nil, k.unfit(nil, fmt.Sprintf("let %d of %d writers succeed where one may (If-None-Match, If-Match)", won, probeWriters))
	}
	return winner, nil
}

// unfit is what is wrong with the service, unless an error says that nobody knows.
func (k *KeyBucket) unfit(err error, what string) error {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("the service %s, so that machines that share the keys could undo what others do: "+
		"use one that keeps conditional writes, or keys.store: dir", what)
}
