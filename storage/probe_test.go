package storage_test

import (
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// limited gives credentials that may do what a policy says, and no more.
func limited(t *testing.T, m *storagetest.MinIO, bucket, policy string) storage.S3Config {
	t.Helper()
	creds, err := credentials.NewSTSAssumeRole(m.Config.Endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: m.Config.AccessKey, SecretKey: string(m.Config.SecretKey), Policy: strings.ReplaceAll(policy, "BUCKET", bucket),
	})
	if err != nil {
		t.Fatal(err)
	}
	client := rawTransport(t, m.Config.CAFile)
	v, err := creds.GetWithContext(&credentials.CredContext{Client: client})
	for deadline := time.Now().Add(20 * time.Second); err != nil; { // MinIO says that it is ready a little before it gives any
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		waitUntil(t, time.Now().Add(100*time.Millisecond))
		v, err = creds.GetWithContext(&credentials.CredContext{Client: client})
	}
	cfg := m.Config
	cfg.Bucket, cfg.AccessKey, cfg.SecretKey, cfg.SessionToken = bucket, v.AccessKeyID, storage.Secret(v.SecretAccessKey), storage.Secret(v.SessionToken)
	return cfg
}

// wantFailed compares the rows that failed with those that should, by name and answer.
func wantFailed(t *testing.T, rep storage.Report, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, r := range rep.Failed() {
		got[r.Name] = r.Got
		if r.Why == "" {
			t.Errorf("row %s does not say why it failed", r.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows that failed (-want +got):\n%s", diff)
	}
}

// TestProbe asks a real MinIO the whole table.
func TestProbe(t *testing.T) {
	m := storagetest.StartMinIO(t)
	raw := rawClient(t, m.Config)
	bucket := m.NewBucket(t).Bucket()
	s := newStore(t, limited(t, m, bucket, rolePolicy(t, "writer")))
	t.Run("Writer", func(t *testing.T) { testProbeWriter(t, s) })
	ended := time.Now().Add(11 * time.Second) // by then every short lock of it has
	t.Run("Root", func(t *testing.T) {
		rep, err := m.NewBucket(t).Probe(t.Context(), storage.ProbeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		wantFailed(t, rep, map[string]string{"writer-bypass": "allowed"})
	})
	t.Run("Unversioned", func(t *testing.T) {
		if err := raw.MakeBucket(t.Context(), "bare", minio.MakeBucketOptions{}); err != nil {
			t.Fatal(err)
		}
		cfg := m.Config
		cfg.Bucket = "bare"
		rep, err := newStore(t, cfg).Probe(t.Context(), storage.ProbeOptions{})
		if err != nil || rep.Level != storage.Unversioned || rep.Rows[0].OK || rep.Rows[6].Got != "not checked" {
			t.Errorf("%+v, %v", rep, err)
		}
	})
	t.Run("NoDeletion", func(t *testing.T) {
		policy := strings.NewReplacer(`"s3:DeleteObject",`, "", `"s3:DeleteObjectVersion"`, `"s3:GetObjectTagging"`, `"s3:PutObjectLegalHold",`, "").Replace(rolePolicy(t, "writer"))
		rep, err := newStore(t, limited(t, m, m.NewBucket(t).Bucket(), policy)).Probe(t.Context(), storage.ProbeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		// Denied is what it should be, and proves nothing where everything is.
		wantFailed(t, rep, map[string]string{
			"unlocked-delete": "denied", "compliance-delete": "denied", "compliance-delete-bypass": "denied", "governance-delete": "denied", "writer-bypass": "denied",
			"delete-without-version": "denied", "legal-hold": "not permitted", "batch-delete": "none deleted",
		})
	})
	t.Run("NoSuchBucket", func(t *testing.T) {
		rep, err := newStore(t, m.Config).Probe(t.Context(), storage.ProbeOptions{})
		if err != nil || rep.Level != storage.Unversioned || !strings.Contains(rep.Rows[0].Why, "NoSuchBucket") {
			t.Errorf("%+v, %v", rep, err)
		}
	})
	t.Run("Clock", func(t *testing.T) {
		now := func() time.Time { return time.Now().Add(time.Hour) }
		rep, err := m.NewBucket(t).Probe(t.Context(), storage.ProbeOptions{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rep.Failed() {
			if r.Name == "clock" && r.Got != "-1h0m0s" {
				t.Errorf("%+v", r)
			}
		}
		wantFailed(t, rep, map[string]string{"clock": rep.Rows[2].Got, "writer-bypass": "allowed"})
	})
	t.Run("FindsHoles", func(t *testing.T) { testProbeFindsHoles(t, m) })
	t.Run("CleansUp", func(t *testing.T) {
		waitUntil(t, ended)
		testProbeCleansUp(t, s, raw)
	})
}

// testProbeWriter: with the credentials that docs/storage.md gives the recorder everything is as it should be, again and again.
func testProbeWriter(t *testing.T, s *storage.S3) {
	put(t, s, "rec/qa/x", "content", storage.PutOptions{})
	for range 2 {
		start := time.Now()
		rep, err := s.Probe(t.Context(), storage.ProbeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s in %v", rep.Level, time.Since(start))
		if rep.Level != storage.WormVerified || len(rep.Rows) != 20 {
			t.Errorf("level %s, %d rows", rep.Level, len(rep.Rows))
		}
		wantFailed(t, rep, map[string]string{})
	}
}

// testProbeCleansUp: what two probes left is gone after the next, whose own stays, and the object of the day. Nothing else is touched.
func testProbeCleansUp(t *testing.T, s *storage.S3, raw *minio.Client) {
	left := func() map[string]int {
		runs := map[string]int{}
		for o := range raw.ListObjectsIter(t.Context(), s.Bucket(), minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			runs[path.Dir(o.Key)]++
		}
		return runs
	}
	before := left()
	if _, err := s.Probe(t.Context(), storage.ProbeOptions{Keep: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	after := left()
	for dir, n := range before {
		if want := map[bool]int{false: n}[strings.HasPrefix(dir, storage.ProbePrefix+"run/")]; after[dir] != want {
			t.Errorf("%s: %d versions before, %d after, want %d", dir, n, after[dir], want)
		}
	}
	if len(before) != 4 || len(after) != 3 || after[storage.ProbePrefix+"day"] != 1 {
		t.Errorf("before %v, after %v", before, after)
	}
}

func waitUntil(t *testing.T, at time.Time) {
	t.Helper()
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// TestProbeUnavailable: a service that does not answer is no service that failed.
func TestProbeUnavailable(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if rep, err := s.Probe(t.Context(), storage.ProbeOptions{}); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("%+v, %v, want ErrUnavailable", rep, err)
	}
}

func TestProbeDir(t *testing.T) {
	d, err := storage.NewDir(t.TempDir(), storage.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := d.Probe(t.Context(), storage.ProbeOptions{})
	if err != nil || rep.Level != storage.SoftwareLock || len(rep.Failed()) != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

// TestJudge changes one answer at a time.
func TestJudge(t *testing.T) {
	good := map[string]string{}
	for _, r := range storage.Judge(nil).Rows {
		if r.OK || r.Got != "not checked" {
			t.Errorf("not looked at: %+v", r)
		}
		good[r.Name] = r.Want
	}
	if rep := storage.Judge(nil); rep.Level != storage.Unversioned {
		t.Errorf("nothing seen: level %s", rep.Level)
	}
	if rep := storage.Judge(good); rep.Level != storage.WormVerified || len(rep.Failed()) != 0 {
		t.Errorf("everything good: %+v", rep)
	}
	with := func(changes ...string) map[string]string {
		m := map[string]string{}
		for k, v := range good {
			m[k] = v
		}
		for i := 0; i < len(changes); i += 2 {
			m[changes[i]] = changes[i+1]
		}
		return m
	}
	for name := range good {
		want := storage.WormPartial
		switch name {
		case "versioning":
			want = storage.Unversioned
		case "if-none-match", "if-none-match-multipart":
			want = storage.WormVerified
		case "lifecycle":
			want = storage.NoLifecycle
		}
		rep := storage.Judge(with(name, "something else"))
		failed := rep.Failed()
		if rep.Level != want || !slices.ContainsFunc(failed, func(r storage.Row) bool { return r.Name == name }) {
			t.Errorf("%s: level %s, failed %v", name, rep.Level, failed)
		}
		if name != "unlocked-delete" && len(failed) != 1 {
			t.Errorf("%s: failed %v", name, failed)
		}
	}
	if rep := storage.Judge(with("lifecycle", "not readable", "batch-delete", "both deleted")); rep.Level != storage.WormPartial {
		t.Errorf("two holes: level %s", rep.Level)
	}
	if rep := storage.Judge(with("legal-hold", "not permitted")); rep.Level != storage.WormVerified {
		t.Errorf("holds are set by others: level %s", rep.Level)
	}
	if rep := storage.Judge(with("unlocked-delete", "denied")); len(rep.Failed()) != 7 {
		t.Errorf("nothing may be deleted: %v", rep.Failed())
	}
}

func TestJudgeClock(t *testing.T) {
	for skew, ok := range map[time.Duration]bool{0: true, storage.MaxClockSkew: true, -storage.MaxClockSkew: true, storage.MaxClockSkew + time.Second: false, -time.Hour: false} {
		if got := storage.ClockIsRight(skew); got != ok {
			t.Errorf("%v: %t, want %t", skew, got, ok)
		}
	}
}
