package storage_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// TestCeph holds a third service to the contract, and asks it the whole table.
func TestCeph(t *testing.T) {
	t.Parallel()
	c := storagetest.StartCeph(t)
	raw := rawClient(t, c.Config)
	t.Run("KeepsTheContract", func(t *testing.T) {
		buckets := make(map[storage.Store]string)
		storagetest.Run(t, func(t *testing.T) storage.Store {
			s := c.NewBucket(t)
			buckets[s] = s.Bucket()
			return s
		}, storagetest.Options{Mark: func(t *testing.T, s storage.Store, key string) {
			if err := raw.RemoveObject(t.Context(), buckets[s], key, minio.RemoveObjectOptions{}); err != nil {
				t.Fatal(err)
			}
		}, Instead: map[string]func(*testing.T, storage.Store){"PutRaces": testPutRacesUnconditionally}})
	})
	t.Run("Probe", func(t *testing.T) { testProbeCeph(t, c, raw) })
	t.Run("Expiry", func(t *testing.T) { testExpiryCeph(t, c, raw) })
}

// testProbeCeph: with the recorder's role every lock is a lock; with the owner's credentials GOVERNANCE is got around. The condition that a
// key is free is not known, and that harms no lock.
func testProbeCeph(t *testing.T, c *storagetest.Ceph, raw *minio.Client) {
	bucket := c.NewBucket(t).Bucket()
	writer := c.NewUser("writer", bucket)
	// Ceph has policies of buckets, not of users: this one says for whom it is. The roles are the same.
	policy := strings.NewReplacer("BUCKET", bucket, `"Sid":`, `"Principal": {"AWS": ["arn:aws:iam:::user/writer"]}, "Sid":`).Replace(rolePolicy(t, "writer"))
	if err := raw.SetBucketPolicy(t.Context(), bucket, policy); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		store *storage.S3
		level storage.Level
		more  string
	}{
		"Writer": {newStore(t, writer), storage.WormVerified, ""},
		"Owner":  {c.NewBucket(t), storage.WormPartial, "writer-bypass"},
	} {
		t.Run(name, func(t *testing.T) {
			rep, err := test.store.Probe(t.Context(), storage.ProbeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"if-none-match": "allowed", "if-none-match-multipart": "allowed"}
			if test.more != "" {
				want[test.more] = "allowed"
			}
			if wantFailed(t, rep, want); rep.Level != test.level {
				t.Errorf("level %s, want %s", rep.Level, test.level)
			}
		})
	}
}

// testExpiryCeph: rules as they are computed from classes, on a service whose day for rules is ten seconds. Nothing goes before its term, each is
// gone in the days that were promised, and nobody deletes anything but the service.
func testExpiryCeph(t *testing.T, c *storagetest.Ceph, raw *minio.Client) {
	const term = 5 // days
	ctx, s := t.Context(), c.NewBucket(t)
	days := func(n int) time.Duration { return time.Duration(n) * storagetest.CephDay }
	until := func(from time.Time) time.Time { return from.AddDate(0, 0, term) }
	classes := []storage.LifecycleClass{
		{Name: "quality", Until: until, Lock: storage.Governance},
		{Name: "orders", Until: until, Lock: storage.Compliance, Mandated: true},
		{Name: "notes", Until: until},
	}
	rules, err := storage.LifecycleRules(classes, 0)
	if err != nil {
		t.Fatal(err)
	}
	have, err := s.ApplyLifecycle(ctx, rules)
	if plan := storage.PlanLifecycle(rules, have); err != nil || plan.State != storage.LifecycleInStep {
		t.Fatalf("%v, %+v", err, plan)
	}
	start := time.Now()
	objects := map[string]storage.Ref{}
	for _, class := range classes {
		o := storage.PutOptions{}
		if class.Lock != "" {
			o.Retention = storage.Retention{Mode: class.Lock, Until: start.Add(days(term))}.Rounded()
		}
		objects[class.Name] = put(t, s, storage.RecordingPrefix+class.Name+"/2026/11/28/01/recording.wav.age", "content of "+class.Name, o)
	}
	held := put(t, s, storage.RecordingPrefix+"quality/2026/11/28/02/recording.wav.age", "held", storage.PutOptions{})
	if err := s.Hold(ctx, held, true); err != nil {
		t.Fatal(err)
	}
	other := put(t, s, "elsewhere/quality", "not ours", storage.PutOptions{})
	ended := map[string]time.Duration{}
	hidden := map[string]time.Duration{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for len(ended) < len(objects) {
		<-tick.C
		age := time.Since(start)
		if age > days(3*term) {
			t.Fatalf("after %v only %v are gone", age, ended)
		}
		for name, ref := range objects {
			if _, gone := ended[name]; gone {
				continue
			}
			if _, err := s.Stat(ctx, storage.Ref{Key: ref.Key}); errors.Is(err, storage.ErrNotFound) && hidden[name] == 0 {
				hidden[name] = age
			}
			if _, err := storage.Verify(ctx, s, ref); errors.Is(err, storage.ErrNotFound) {
				ended[name] = age
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, age := range ended {
		t.Logf("%s: hidden after %.1f days, gone after %.1f", name, float64(hidden[name])/float64(days(1)), float64(age)/float64(days(1)))
		if age < days(term) {
			t.Errorf("%s is gone after %v, before its term of %v", name, age, days(term))
		}
	}
	// The service comes by once a day, sometimes with its short days once in two.
	const round = 2
	for name, most := range map[string]int{
		"quality": term + round,           // hidden before, and free when its lock ends
		"orders":  term + 2 + 1 + 2*round, // hidden two days after, and a day behind its marker
		"notes":   term + 1 + 2*round,     // hidden at its term, and a day behind its marker
	} {
		if ended[name] > days(most) {
			t.Errorf("%s is gone after %v, want %v at most", name, ended[name], days(most))
		}
	}
	for name, ref := range map[string]storage.Ref{"held": held, "not ours": other} {
		if _, err := storage.Verify(ctx, s, ref); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Hold(ctx, held, false); err != nil {
		t.Fatal(err)
	}
	// What is let go of goes by itself, and so do the markers, which then hide nothing.
	deadline := time.Now().Add(days(6))
	for left := -1; left != 0; {
		<-tick.C
		left = 0
		for o := range raw.ListObjectsIter(ctx, s.Bucket(), minio.ListObjectsOptions{Prefix: storage.RecordingPrefix, Recursive: true, WithVersions: true}) {
			if left++; o.Err != nil {
				t.Fatal(o.Err)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d versions and markers are left", left)
		}
	}
}

// testPutRacesUnconditionally: this service does not know the condition that a key is free, so that writers at the same time may each make a
// version. None is lost.
func testPutRacesUnconditionally(t *testing.T, s storage.Store) {
	const writers = 8
	refs, errs := make([]storage.Ref, writers), make([]error, writers)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			content := fmt.Sprintf("written by %d", i)
			refs[i], errs[i] = s.Put(t.Context(), "raced/for", strings.NewReader(content), int64(len(content)), storage.PutOptions{})
		})
	}
	all.Wait()
	versions := 0
	for _, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		versions++
	}
	kept := 0
	for i, err := range errs {
		if errors.Is(err, storage.ErrExists) {
			continue
		}
		if kept++; err != nil {
			t.Fatal(err)
		}
		object, err := s.Open(t.Context(), refs[i])
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(io.NewSectionReader(object, 0, object.Info().Size)); err != nil || string(b) != fmt.Sprintf("written by %d", i) {
			t.Errorf("writer %d: %q, %v", i, b, err)
		}
		object.Close()
	}
	if versions != kept || versions < 2 {
		t.Errorf("%d versions, %d were written: if it is one, the service knows the condition: use the suite's own test", versions, kept)
	}
}
