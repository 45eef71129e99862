package main

import (
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
	"github.com/greffier/greffier/storage/storagetest"
)

// TestEndToEndMinIO kills the server in the middle of a call, starts it again, and finds the recording complete to within
// the last second, locked in a real MinIO, and verified.
func TestEndToEndMinIO(t *testing.T) {
	m := storagetest.StartMinIO(t)
	bucket := m.NewBucket(t).Bucket()
	dir := t.TempDir()
	asWriter(t, m)
	sip := freePort(t)
	args := []string{"serve", "--data-dir", dir, "--policy", recordAll, "--sip-listen", "udp://" + sip, "--http-listen", "127.0.0.1:0",
		"--media-ports", "0-0", "--log-level", "warn", "--store-type", "s3", "--store-s3-endpoint", m.Config.Endpoint, "--store-s3-bucket", bucket,
		"--store-s3-ca-file", m.Config.CAFile}
	// The commands below are told of the store by the environment, as a service's would be.
	for k, v := range map[string]string{"STORE_TYPE": "s3", "STORE_S3_ENDPOINT": m.Config.Endpoint, "STORE_S3_BUCKET": bucket,
		"STORE_S3_CA_FILE": m.Config.CAFile} {
		t.Setenv("GREFFIER_"+k, v)
	}
	p := spawn(t, args...)
	src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: p.sip})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	call, err := src.Invite(t.Context(), bursts())
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), 6*time.Second); err != nil {
		t.Fatal(err)
	}
	p.kill(t)
	killed := time.Now()
	call.Abandon()
	truth := call.Truth()

	spawn(t, args...)
	var r listedRecording
	eventually(t, "recording locked", 30*time.Second, func() bool {
		rows := list(t, dir, "--state", "locked")
		if len(rows) == 1 {
			r = rows[0]
		}
		return len(rows) == 1
	})
	if r.EndCause != "restart" {
		t.Errorf("the recording ended by %q, want restart", r.EndCause)
	}
	played := killed.Sub(truth.Start)
	if lost := played - time.Duration(r.DurationMS)*time.Millisecond; lost > time.Second {
		t.Errorf("%s of %s lost, want at most 1 s", lost, played)
	} else {
		t.Logf("%s lost by kill -9", lost)
	}
	channels, rate := play(t, dir, r.ID)
	report := siprectest.Compare(channels, rate, labels(r), truth)
	for _, c := range report.Channels {
		if c.Found < 5 || c.Wrong != 0 || c.Extra != 0 || c.Deviation > 20*time.Millisecond {
			t.Errorf("channel %s: %+v", c.Label, c)
		}
	}
	if report.Misalignment > 20*time.Millisecond {
		t.Errorf("channels are %s apart", report.Misalignment)
	}
	verifyGood(t, dir)
}
