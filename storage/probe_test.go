package storage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// writerPolicy is that of docs/storage.md for the recorder's own credentials.
const writerPolicy = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":["s3:GetBucketVersioning","s3:GetBucketObjectLockConfiguration","s3:GetLifecycleConfiguration","s3:ListBucket","s3:ListBucketVersions","s3:GetBucketLocation","s3:ListBucketMultipartUploads"],"Resource":["arn:aws:s3:::%[1]s"]},
 {"Effect":"Allow","Action":["s3:PutObject","s3:GetObject","s3:GetObjectVersion","s3:PutObjectRetention","s3:GetObjectRetention","s3:PutObjectLegalHold","s3:GetObjectLegalHold","s3:DeleteObject","s3:DeleteObjectVersion","s3:AbortMultipartUpload","s3:ListMultipartUploadParts"],"Resource":["arn:aws:s3:::%[1]s/*"]}]}`

// writer gives the credentials that a recorder should have: those of the policy, and no more.
func writer(t *testing.T, m *storagetest.MinIO, bucket string) storage.S3Config {
	t.Helper()
	client := rawTransport(t, m.Config.CAFile)
	creds, err := credentials.NewSTSAssumeRole(m.Config.Endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: m.Config.AccessKey, SecretKey: string(m.Config.SecretKey), Policy: fmt.Sprintf(writerPolicy, bucket),
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := creds.GetWithContext(&credentials.CredContext{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	cfg := m.Config
	cfg.Bucket, cfg.AccessKey, cfg.SecretKey, cfg.SessionToken = bucket, v.AccessKeyID, storage.Secret(v.SecretAccessKey), storage.Secret(v.SessionToken)
	return cfg
}

func TestProbeMinIO(t *testing.T) {
	m := storagetest.StartMinIO(t)
	s := newStore(t, writer(t, m, m.NewBucket(t).Bucket()))
	start := time.Now()
	rep, err := s.Probe(t.Context(), storage.ProbeOptions{})
	t.Log(time.Since(start), err)
	for _, r := range rep.Rows {
		t.Logf("%+v", r)
	}
	t.Log(rep.Level)
}

func TestProbeVersityGW(t *testing.T) {
	v := storagetest.StartVersityGW(t)
	s := v.NewBucket(t)
	start := time.Now()
	rep, err := s.Probe(t.Context(), storage.ProbeOptions{})
	t.Log(time.Since(start), err)
	for _, r := range rep.Rows {
		t.Logf("%+v", r)
	}
	t.Log(rep.Level)
}
