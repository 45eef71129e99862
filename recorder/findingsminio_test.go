package recorder_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// TestFindingsOnMinIO: what somebody with the root's credentials does to a bucket is found, and so is an older version, which nobody sees
// who lists the bucket.
func TestFindingsOnMinIO(t *testing.T) {
	service := storagetest.StartMinIO(t)
	transport, err := minio.DefaultTransport(true)
	if err != nil {
		t.Fatal(err)
	}
	transport.TLSClientConfig.InsecureSkipVerify = true // a loopback address, and a certificate made for this test
	raw, err := minio.New(strings.TrimPrefix(service.Config.Endpoint, "https://"), &minio.Options{
		Creds: credentials.NewStaticV4(service.Config.AccessKey, string(service.Config.SecretKey), ""), Secure: true, Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	overwrite := func(l later, bucket, key string) {
		_, err := raw.PutObject(l.t.Context(), bucket, key, strings.NewReader("x"), 1, minio.PutObjectOptions{})
		l.must(err)
	}
	for _, c := range []struct {
		name   string
		kind   recorder.FindingKind // "": it is a notice
		text   string
		locked bool
		do     func(l later, bucket string, ref storage.Ref)
	}{
		{"a version was deleted", recorder.RetentionEarlyLoss, "is not in the store", false, func(l later, bucket string, ref storage.Ref) {
			l.must(raw.RemoveObject(l.t.Context(), bucket, ref.Key, minio.RemoveObjectOptions{VersionID: ref.VersionID}))
		}},
		{"a lock was made shorter", recorder.RetentionEarlyLoss, "is locked", true, func(l later, bucket string, ref storage.Ref) {
			mode, until := minio.Governance, time.Now().Add(time.Hour).UTC()
			l.must(raw.PutObjectRetention(l.t.Context(), bucket, ref.Key, minio.PutObjectRetentionOptions{
				GovernanceBypass: true, Mode: &mode, RetainUntilDate: &until, VersionID: ref.VersionID,
			}))
		}},
		{"a newer version was put over a recording", recorder.Orphan, "another version", true, func(l later, bucket string, ref storage.Ref) {
			overwrite(l, bucket, ref.Key)
		}},
		{"a newer version was put, and hidden", recorder.Orphan, "another version", true, func(l later, bucket string, ref storage.Ref) {
			overwrite(l, bucket, ref.Key)
			l.must(raw.RemoveObject(l.t.Context(), bucket, ref.Key, minio.RemoveObjectOptions{}))
		}},
		{"a strange object was put, and hidden", recorder.Orphan, "nothing that Greffier stores", true, func(l later, bucket string, _ storage.Ref) {
			overwrite(l, bucket, "Ada Customer.wav")
			l.must(raw.RemoveObject(l.t.Context(), bucket, "Ada Customer.wav", minio.RemoveObjectOptions{}))
		}},
		{"a recording was hidden", "", "hidden by a delete marker", true, func(l later, bucket string, ref storage.Ref) {
			l.must(raw.RemoveObject(l.t.Context(), bucket, ref.Key, minio.RemoveObjectOptions{}))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := service.NewBucket(t)
			l := newLaterOn(t, t.TempDir(), store, &stoppedClock{at: callEnd})
			class := training()
			if c.locked {
				class.Quarantine = policy.Period{}
			}
			id := l.call(class)
			l.agree()
			c.do(l, store.Bucket(), l.audioOf(id))
			rep, err := l.archive.Verify(t.Context(), func(int) {})
			l.must(err)
			if c.kind == "" {
				if len(rep.Problems) > 0 || !strings.Contains(strings.Join(rep.Notices, "\n"), c.text) || len(l.sound(id)) == 0 {
					t.Errorf("found %+v, and noticed %q", rep.Problems, rep.Notices)
				}
				return
			}
			found, events := l.round(*l.archive)
			if !slices.ContainsFunc(found, func(f recorder.Finding) bool { return f.Kind == c.kind && strings.Contains(f.Text, c.text) }) {
				t.Errorf("found %+v, want %s: %s", found, c.kind, c.text)
			}
			l.toldOf(c.kind, found, events)
		})
	}
}
