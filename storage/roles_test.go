package storage_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// rolePolicy is one of those that docs/storage.md tells operators to use.
func rolePolicy(t *testing.T, role string) string {
	t.Helper()
	b, err := os.ReadFile("../contrib/s3/" + role + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestKeysRole: the credentials for keys can do all that a KeyBucket does, and neither give the bucket versions nor read another.
func TestKeysRole(t *testing.T) {
	ctx, m := t.Context(), storagetest.StartMinIO(t)
	_, root := m.NewKeyBucket(t)
	cfg := limited(t, m, root.Bucket, rolePolicy(t, "keys"))
	k, err := storage.NewKeyBucket(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		k.Check(ctx), k.Put(ctx, "a/b", nil, []byte("one")), k.Put(ctx, "a/b", []byte("one"), []byte("two")), k.Remove(ctx, "a/b"), k.Remove(ctx, "a/b"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if got := names(t, k, ""); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
	raw, err := minio.New(strings.TrimPrefix(cfg.Endpoint, "https://"), &minio.Options{
		Creds: credentials.NewStaticV4(cfg.AccessKey, string(cfg.SecretKey), string(cfg.SessionToken)), Secure: true, Transport: rawTransport(t, cfg.CAFile).Transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.EnableVersioning(ctx, root.Bucket); err == nil {
		t.Error("it gave the bucket versions")
	}
	if err := newStore(t, limitedTo(cfg, m.NewBucket(t).Bucket())).Check(ctx); err == nil {
		t.Error("it reads another bucket")
	}
}

func limitedTo(cfg storage.S3Config, bucket string) storage.S3Config {
	cfg.Bucket = bucket
	return cfg
}

// TestRoles tries every deed with every role's credentials on a real MinIO: each can do its own, and nothing else.
func TestRoles(t *testing.T) {
	m := storagetest.StartMinIO(t)
	ctx := t.Context()
	root := m.NewBucket(t)
	rules, err := storage.LifecycleRules(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	governance := func(d time.Duration) storage.Retention {
		return storage.Retention{Mode: storage.Governance, Until: time.Now().Add(d)}.Rounded()
	}
	n := 0
	fresh := func(r storage.Retention) storage.Ref {
		n++
		return put(t, root, "rec/qa/"+strings.Repeat("x", n), "content", storage.PutOptions{Retention: r})
	}
	deeds := []struct {
		name string
		do   func(s *storage.S3, raw *minio.Client) error
	}{
		{"read", func(s *storage.S3, _ *minio.Client) error {
			_, err := storage.Verify(ctx, s, fresh(storage.Retention{}))
			return err
		}},
		{"list", func(s *storage.S3, _ *minio.Client) error {
			for _, err := range s.List(ctx, "") {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"put", func(s *storage.S3, _ *minio.Client) error {
			n++
			_, err := s.Put(ctx, "rec/qa/"+strings.Repeat("x", n), strings.NewReader("x"), 1, storage.PutOptions{})
			return err
		}},
		{"lock", func(s *storage.S3, _ *minio.Client) error {
			return s.Lock(ctx, fresh(storage.Retention{}), governance(time.Hour))
		}},
		{"hold", func(s *storage.S3, _ *minio.Client) error { return s.Hold(ctx, fresh(storage.Retention{}), true) }},
		{"delete", func(s *storage.S3, _ *minio.Client) error { return s.Delete(ctx, fresh(storage.Retention{})) }},
		{"bypass", func(s *storage.S3, raw *minio.Client) error {
			ref := fresh(governance(time.Hour))
			return raw.RemoveObject(ctx, s.Bucket(), ref.Key, minio.RemoveObjectOptions{VersionID: ref.VersionID, GovernanceBypass: true})
		}},
		{"lifecycle", func(s *storage.S3, _ *minio.Client) error {
			_, err := s.ApplyLifecycle(ctx, rules)
			return err
		}},
	}
	for role, may := range map[string]string{
		"writer":   "read list put lock hold delete",
		"reader":   "read list",
		"eraser":   "read list delete bypass",
		"holder":   "read list hold",
		"operator": "lifecycle",
	} {
		t.Run(role, func(t *testing.T) {
			cfg := limited(t, m, root.Bucket(), rolePolicy(t, role))
			s := newStore(t, cfg)
			raw, err := minio.New(strings.TrimPrefix(cfg.Endpoint, "https://"), &minio.Options{
				Creds: credentials.NewStaticV4(cfg.AccessKey, string(cfg.SecretKey), string(cfg.SessionToken)), Secure: true, Transport: rawTransport(t, cfg.CAFile).Transport,
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range deeds {
				allowed := strings.Contains(" "+may+" ", " "+d.name+" ")
				if err := d.do(s, raw); (err == nil) != allowed {
					t.Errorf("%s: %v, want allowed %t", d.name, err, allowed)
				}
			}
		})
	}
}
