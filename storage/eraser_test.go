package storage_test

import (
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

func TestDirEraser(t *testing.T) {
	c := newClock()
	d := newDir(t, t.TempDir(), storage.DirOptions{Clock: c.Now})
	storagetest.RunEraser(t, d, storage.NewDirEraser(d), storagetest.Options{Now: c.Now})
}

func TestFakeEraser(t *testing.T) {
	c := newClock()
	f := storagetest.NewFake(t, storagetest.FakeOptions{Now: c.Now, Tolerant: true})
	storagetest.RunEraser(t, f, f.Eraser(), storagetest.Options{Now: c.Now})
}

// The rights of an eraser, and those of a writer that has no more than a store needs.
const (
	eraserPolicy = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": ["arn:aws:s3:::*"], "Action": ["s3:GetObject",
		"s3:GetObjectVersion", "s3:GetObjectRetention", "s3:GetObjectLegalHold", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"]}]}`
	writerPolicy = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": ["arn:aws:s3:::*"], "Action": ["s3:*"]},
		{"Effect": "Deny", "Resource": ["arn:aws:s3:::*"], "Action": ["s3:BypassGovernanceRetention"]}]}`
)

// as gives a configuration with credentials that are limited by a policy.
func as(t *testing.T, m *storagetest.MinIO, cfg storage.S3Config, policy string) storage.S3Config {
	t.Helper()
	raw := rawClient(t, m.Config)
	assumed, err := credentials.NewSTSAssumeRole(m.Config.Endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: m.Config.AccessKey, SecretKey: string(m.Config.SecretKey), Policy: policy, Location: m.Config.Region,
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := assumed.GetWithContext(&credentials.CredContext{Client: rawTransport(t, m.Config.CAFile), Endpoint: raw.EndpointURL().String()})
	if err != nil {
		t.Fatal(err)
	}
	cfg.AccessKey, cfg.SecretKey, cfg.SessionToken = v.AccessKeyID, storage.Secret(v.SecretAccessKey), storage.Secret(v.SessionToken)
	return cfg
}

// TestS3Eraser: with the rights of an eraser and a writer alone each can do what it is for, and nothing of the other.
func TestS3Eraser(t *testing.T) {
	m := storagetest.StartMinIO(t)
	cfg := m.Config
	cfg.Bucket = m.NewBucket(t).Bucket()
	writer := newStore(t, as(t, m, cfg, writerPolicy))
	eraser, err := storage.NewS3Eraser(as(t, m, cfg, eraserPolicy))
	if err != nil {
		t.Fatal(err)
	}
	storagetest.RunEraser(t, writer, eraser, storagetest.Options{})

	ref := put(t, writer, "kept/governance", "content", storage.PutOptions{Retention: storage.Retention{Mode: storage.Governance, Until: time.Now().Add(time.Hour)}})
	robbed, err := storage.NewS3Eraser(as(t, m, cfg, writerPolicy))
	if err != nil {
		t.Fatal(err)
	}
	if err := robbed.Erase(t.Context(), ref); err == nil {
		t.Error("the writer's credentials erase")
	}
	if _, err := writer.Stat(t.Context(), ref); err != nil {
		t.Errorf("after that: %v", err)
	}
	foreign := newStore(t, as(t, m, cfg, eraserPolicy))
	if err := foreign.Lock(t.Context(), ref, storage.Retention{Mode: storage.Governance, Until: time.Now().Add(2 * time.Hour)}); err == nil {
		t.Error("the eraser's credentials lock")
	}
}
