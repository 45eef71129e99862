package storage_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// TestVersityGW holds a second service to the contract. Where it does not keep it, the test says how, and a probe finds it.
func TestVersityGW(t *testing.T) {
	v := storagetest.StartVersityGW(t)
	raw := rawClient(t, v.Config)
	buckets := make(map[storage.Store]string)
	mark := func(t *testing.T, s storage.Store, key string) {
		if err := raw.RemoveObject(t.Context(), buckets[s], key, minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	storagetest.Run(t, func(t *testing.T) storage.Store {
		s := v.NewBucket(t)
		buckets[s] = s.Bucket()
		return s
	}, storagetest.Options{Mark: mark, Instead: map[string]func(*testing.T, storage.Store){
		"DeleteMarker": func(t *testing.T, s storage.Store) { testLockBehindMarker(t, s, mark) },
	}})
	t.Run("Probe", func(t *testing.T) { testProbeVersityGW(t, v) })
}

// testLockBehindMarker: a version behind a delete marker stays locked, but its lock cannot be seen, and so not be made longer either.
func testLockBehindMarker(t *testing.T, s storage.Store, mark func(*testing.T, storage.Store, string)) {
	ctx := t.Context()
	lock := storage.Retention{Mode: storage.Governance, Until: time.Now().Add(time.Hour)}.Rounded()
	ref, err := s.Put(ctx, "marked", strings.NewReader("content"), 7, storage.PutOptions{Retention: lock})
	if err != nil {
		t.Fatal(err)
	}
	mark(t, s, "marked")
	if info, err := s.Stat(ctx, ref); err != nil || !info.Retention.IsZero() {
		t.Errorf("Stat: %+v, %v: the lock behind a marker can be seen, use the suite's own test", info, err)
	}
	longer := storage.Retention{Mode: lock.Mode, Until: lock.Until.Add(time.Hour)}
	if err := s.Lock(ctx, ref, longer); !errors.Is(err, storage.ErrMismatch) {
		t.Errorf("Lock: %v, want ErrMismatch", err)
	}
	if err := s.Delete(ctx, ref); err == nil {
		t.Error("deleted under lock")
	}
	if _, err := storage.Verify(ctx, s, ref); err != nil {
		t.Error(err)
	}
}

// testProbeVersityGW: the credentials of its root account get around GOVERNANCE, it has no lifecycle rules, and does not show a lock
// behind a marker. Earlier versions had more holes: see TestProbeFindsHoles.
func testProbeVersityGW(t *testing.T, v *storagetest.VersityGW) {
	rep, err := v.NewBucket(t).Probe(t.Context(), storage.ProbeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Level != storage.WormPartial {
		t.Errorf("level %s, want %s", rep.Level, storage.WormPartial)
	}
	wantFailed(t, rep, map[string]string{
		"writer-bypass": "allowed", "lifecycle": "not readable", "delete-without-version": "marker, lock not shown",
	})
}
