package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"go.uber.org/zap"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// asWriter gives the environment credentials that may do everything in MinIO but get around a lock, as the recorder's own should be.
func asWriter(t *testing.T, m *storagetest.MinIO) {
	t.Helper()
	creds, err := credentials.NewSTSAssumeRole(m.Config.Endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: m.Config.AccessKey, SecretKey: string(m.Config.SecretKey),
		Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]},
			{"Effect":"Deny","Action":["s3:BypassGovernanceRetention"],"Resource":["arn:aws:s3:::*"]}]}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(readFile(t, m.Config.CAFile)))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	var v credentials.Value
	eventually(t, "MinIO gives credentials", 20*time.Second, func() bool { // it says that it is ready a little before it does
		v, err = creds.GetWithContext(&credentials.CredContext{Client: &http.Client{Transport: transport}})
		return err == nil
	})
	t.Setenv("AWS_ACCESS_KEY_ID", v.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", v.SecretAccessKey)
	t.Setenv("AWS_SESSION_TOKEN", v.SessionToken)
}

// s3File is a configuration of a store in MinIO, with the credentials of the environment, or as its root.
func s3File(t *testing.T, m *storagetest.MinIO, bucket string, root bool, more string) string {
	t.Helper()
	dir := t.TempDir()
	creds := ""
	if root {
		secret := filepath.Join(dir, "s3-secret")
		if err := os.WriteFile(secret, []byte(string(m.Config.SecretKey)), 0o600); err != nil {
			t.Fatal(err)
		}
		creds = fmt.Sprintf(", access_key: %s, secret_key_file: %s", m.Config.AccessKey, secret)
	}
	file := filepath.Join(dir, "greffier.yaml")
	text := fmt.Sprintf("store: {type: s3, s3: {endpoint: %q, bucket: %s, ca_file: %s%s%s}}\n", hostOf(m), bucket, m.Config.CAFile, creds, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// refusedStart is the error of a server that does not start.
func refusedStart(t *testing.T, config, dataDir, policy string) string {
	t.Helper()
	var out bytes.Buffer
	code := run(t.Context(), []string{"serve", "-c", config, "--data-dir", dataDir, "--policy", policy, "--sip-listen", "udp://127.0.0.1:0",
		"--http-listen", "127.0.0.1:0", "--media-ports", "0-0", "--log-level", "error"}, io.Discard, &out)
	if code != exitFailed {
		t.Errorf("serve: exit %d: %s", code, out.String())
	}
	return out.String()
}

// events are those of a type in the audit log of a data directory.
func events(t *testing.T, dataDir, typ string) []audit.Entry {
	t.Helper()
	var out []audit.Entry
	for e, err := range audit.Read(filepath.Join(dataDir, auditDir)) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == typ {
			out = append(out, e)
		}
	}
	return out
}

// TestStorageCheck proves a real MinIO by the command and by the server, with the recorder's credentials and with the root's.
func TestStorageCheck(t *testing.T) {
	m := storagetest.StartMinIO(t)
	asWriter(t, m)
	bucket := m.NewBucket(t).Bucket()
	config, root := s3File(t, m, bucket, false, ""), s3File(t, m, bucket, true, "")
	out, code := cliRun(t, "storage", "check", "-c", config, "--policy", recordAll)
	if code != exitOK || !strings.HasSuffix(out, "worm-verified: every lock is a lock\n") || strings.Count(out, "ok ") != 20 {
		t.Errorf("exit %d:\n%s", code, out)
	}
	t.Logf("\n%s", out)
	out, code = cliRun(t, "storage", "check", "-c", root, "--policy", recordAll)
	if code != exitFailed || !strings.Contains(out, "worm-partial: greffier serve does not start on it, for the sake of class all") || !strings.Contains(out, "writer-bypass should be") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	t.Logf("\n%s", out)
	out, code = cliRun(t, "storage", "check", "-c", root, "--json")
	var rep storage.Report
	if err := json.Unmarshal([]byte(out), &rep); err != nil || code != exitFailed || rep.Level != storage.WormPartial || len(rep.Rows) != 20 {
		t.Errorf("exit %d, %v:\n%s", code, err, out)
	}

	if text := refusedStart(t, root, t.TempDir(), recordAll); !strings.Contains(text, "writer-bypass") || !strings.Contains(text, "class all") {
		t.Errorf("refused, and does not say why: %s", text)
	}
	dir := t.TempDir()
	s := startConfigured(t, io.Discard, config, dir, recordAll)
	if got := s.metric(`greffier_storage_selftest{level="worm-verified"}`); got != 1 {
		t.Errorf("metric of the level found is %g", got)
	}
	if got := s.metric(`greffier_storage_selftest{level="worm-partial"}`); got != 0 {
		t.Errorf("metric of a level not found is %g", got)
	}
	tests := events(t, dir, eventSelftest)
	if len(tests) != 1 || !strings.Contains(string(tests[0].Data), `"level":"worm-verified"`) || strings.Count(string(tests[0].Data), `"name"`) != 20 {
		t.Errorf("events of the self-test: %v", tests)
	}
	s.stop()
	if out, code := cliRun(t, "storage", "check", "-c", config, "--data-dir", dir); code != exitOK {
		t.Errorf("exit %d: %s", code, out)
	}
	if tests := events(t, dir, eventSelftest); len(tests) != 2 {
		t.Errorf("%d events of the self-test after a check by hand, want 2", len(tests))
	}
	dirs := t.TempDir()
	start(t, dirs, recordAll)
	if tests := events(t, dirs, eventSelftest); len(tests) != 1 || !strings.Contains(string(tests[0].Data), `"level":"software-lock"`) {
		t.Errorf("events of the self-test of a directory: %v", tests)
	}
	if out, code := cliRun(t, "storage", "check", "--data-dir", dirs); code != exitOK || !strings.Contains(out, "software-lock: the locks bind this program only") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// TestStorageCheckNamesHoles: a service that cannot be trusted with a mandated class is refused, by the rows that failed.
func TestStorageCheckNamesHoles(t *testing.T) {
	v := storagetest.StartVersityGW(t)
	bucket := v.NewBucket(t).Bucket()
	t.Setenv("AWS_ACCESS_KEY_ID", v.Config.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", string(v.Config.SecretKey))
	config := filepath.Join(t.TempDir(), "greffier.yaml")
	text := fmt.Sprintf("store: {type: s3, s3: {endpoint: %q, region: us-east-1, bucket: %s, ca_file: %s}}\n", v.Config.Endpoint, bucket, v.Config.CAFile)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := cliRun(t, "storage", "check", "-c", config, "--policy", recordAll)
	for _, row := range []string{"writer-bypass", "delete-without-version", "lifecycle"} {
		if !strings.Contains(out, row+" should be") {
			t.Errorf("%s is not named", row)
		}
	}
	if code != exitFailed || strings.Count(out, "FAILED") != 3 {
		t.Errorf("exit %d", code)
	}
	t.Logf("\n%s", out)
	if text := refusedStart(t, config, t.TempDir(), recordAll); !strings.Contains(text, "delete-without-version") {
		t.Errorf("refused, and does not say why: %s", text)
	}
	out, code = cliRun(t, "storage", "plan", "-c", config, "--policy", recordAll)
	if code != exitOK || !strings.HasPrefix(out, "lifecycle rules: none, ") {
		t.Errorf("plan: exit %d: %s", code, out)
	}
	// What no text obliges to keep may be stored there; what is over, the sweeper deletes.
	free := filepath.Join(t.TempDir(), "policy.yaml")
	text = "version: 1\nclasses: {qa: {purpose: Quality, legal_basis: legitimate_interests, balance_test: LIA-1, retention: P6M, sample: 3%}}\nrules: [{name: some, class: qa}]\n"
	if err := os.WriteFile(free, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	startConfigured(t, io.Discard, config, t.TempDir(), free)
}

// TestStoragePlan plans and applies lifecycle rules, and starts servers on what the bucket has.
func TestStoragePlan(t *testing.T) {
	m := storagetest.StartMinIO(t)
	asWriter(t, m)
	bucket := m.NewBucket(t).Bucket()
	config, dir := s3File(t, m, bucket, false, ""), t.TempDir()
	cli := func(wantCode int, wantText string, args ...string) {
		t.Helper()
		out, code := cliRun(t, append(args, "-c", config, "--data-dir", dir)...)
		if code != wantCode || !strings.Contains(out, wantText) {
			t.Errorf("%v: exit %d, want %d and %q:\n%s", args, code, wantCode, wantText, out)
		}
		t.Logf("greffier %s\n%s", strings.Join(args, " "), out)
	}
	startConfigured(t, io.Discard, config, dir, recordAll).stop() // not planned is no drift

	cli(exitFailed, "lifecycle rules: not planned", "storage", "plan", "--policy", recordAll)
	cli(exitFailed, `"state": "not planned"`, "storage", "plan", "--policy", recordAll, "--json")
	cli(exitFailed, "", "storage", "apply", "--policy", recordAll) // nobody says yes
	cli(exitOK, "applied, and read back", "storage", "apply", "--policy", recordAll, "--yes")
	cli(exitOK, "lifecycle rules: in step", "storage", "plan", "--policy", recordAll)
	applied := events(t, dir, eventLifecycleApplied)
	if len(applied) != 2 || applied[0].Outcome != audit.Intended || applied[1].Outcome != audit.Done {
		t.Fatalf("events: %v", applied)
	}
	var data appliedData
	if err := json.Unmarshal(applied[1].Data, &data); err != nil {
		t.Fatal(err)
	}
	if hash, err := storage.LifecycleHash(data.Rules); err != nil || hash != data.Hash || data.Bucket != bucket || len(data.Rules) < 2 {
		t.Errorf("%+v, %v", data, err)
	}
	startConfigured(t, io.Discard, config, dir, recordAll).stop() // in step

	// The policy changes, the bucket does not.
	other := filepath.Join(t.TempDir(), "policy.yaml")
	text := strings.Replace(readFile(t, recordAll), "retention: PT1H", "retention: P6M", 1)
	if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cli(exitFailed, "lifecycle rules: drift", "storage", "plan", "--policy", other)
	if text := refusedStart(t, config, dir, other); !strings.Contains(text, "lifecycle rules are not the policy's") {
		t.Errorf("drift: %s", text)
	}
	accepting := s3File(t, m, bucket, false, ", accept_drift: true")
	startConfigured(t, io.Discard, accepting, dir, other).stop()
	if drift := events(t, dir, eventDrift); len(drift) != 1 || !strings.Contains(string(drift[0].Data), "greffier-class-all") {
		t.Errorf("events of accepted drift: %v", drift)
	}
	cli(exitOK, "applied, and read back", "storage", "apply", "--policy", other, "--yes")
	startConfigured(t, io.Discard, config, dir, other).stop()
	// Back again: what is shorter is said.
	cli(exitFailed, "becomes due at once", "storage", "plan", "--policy", recordAll)
	if out, code := cliRun(t, "storage", "plan", "--data-dir", t.TempDir()); code != exitFailed {
		t.Errorf("a directory has lifecycle rules: %s", out)
	}
}

func TestAsk(t *testing.T) {
	for answer, yes := range map[string]bool{"y\n": true, "YES\n": true, "y": true, "": false, "\n": false, "no\n": false, "yesterday\n": false} {
		if err := ask(io.Discard, strings.NewReader(answer), "?"); (err == nil) != yes {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	free, mandated := policy.Class{Name: "qa", Lock: policy.Governance}, policy.Class{Name: "orders", Lock: policy.Governance, Mandate: "a text"}
	strict := policy.Class{Name: "strict", Lock: policy.Compliance}
	failed := []storage.Row{{Name: "ok", OK: true}, {Name: "compliance-shorten", Want: "denied", Got: "allowed", Why: "because"}}
	for _, test := range []struct {
		level   storage.Level
		classes []policy.Class
		want    []string // in the error; nil: none
	}{
		{storage.WormVerified, []policy.Class{free, mandated, strict}, nil},
		{storage.NoLifecycle, []policy.Class{free, mandated, strict}, nil},
		{storage.SoftwareLock, []policy.Class{free, mandated, strict}, nil},
		{storage.WormPartial, []policy.Class{free}, nil},
		{storage.WormPartial, []policy.Class{free, mandated, strict}, []string{"orders, strict", "compliance-shorten", "because"}},
		{storage.WormPartial, []policy.Class{strict}, []string{"strict"}},
		{storage.Unversioned, []policy.Class{free}, []string{"unversioned", "because"}},
		{storage.Unversioned, nil, []string{"unversioned"}},
	} {
		err := refuses(storage.Report{Level: test.level, Rows: failed}, test.classes)
		if (err != nil) != (test.want != nil) {
			t.Errorf("%s, %d classes: %v", test.level, len(test.classes), err)
		}
		for _, text := range test.want {
			if err != nil && !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v, does not say %q", test.level, err, text)
			}
		}
	}
}

// probes is a store whose tests come out one after the other, by day.
type probes struct {
	started time.Time
	at      []time.Duration
	results []any // storage.Level or error
}

func (p *probes) Probe(context.Context, storage.ProbeOptions) (storage.Report, error) {
	p.at = append(p.at, time.Since(p.started))
	next := p.results[0]
	p.results = p.results[1:]
	if err, ok := next.(error); ok {
		return storage.Report{}, err
	}
	return storage.Report{Level: next.(storage.Level), Rows: []storage.Row{{Name: "r"}}}, nil
}

// TestSelftestIsDaily lets three days pass: the store becomes worse, is away, and is well again.
func TestSelftestIsDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &probes{started: time.Now(), results: []any{storage.WormVerified, storage.WormPartial, storage.ErrUnavailable, storage.WormVerified}}
		var witnessed []any
		s := &selftest{
			store: store, classes: func() []policy.Class { return nil }, log: zap.NewNop(),
			witness: func(_ context.Context, typ string, data any) error { witnessed = append(witnessed, data); return nil },
		}
		if s.is(storage.WormVerified) {
			t.Error("a level before the first test")
		}
		if err := s.start(t.Context()); err != nil || !s.is(storage.WormVerified) {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.run(ctx) }()
		for _, want := range []struct {
			after time.Duration
			level storage.Level
		}{{25 * time.Hour, storage.WormPartial}, {24 * time.Hour, storage.WormVerified}} {
			time.Sleep(want.after) // of the bubble's clock
			synctest.Wait()
			if !s.is(want.level) {
				t.Errorf("after %v: not %s", time.Since(store.started), want.level)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if want := []time.Duration{0, 24 * time.Hour, 48 * time.Hour, 48*time.Hour + selftestRetry}; !slices.Equal(store.at, want) {
			t.Errorf("tested at %v, want %v", store.at, want)
		}
		if len(witnessed) != 3 {
			t.Errorf("%d tests are witnessed, want 3", len(witnessed))
		}
	})
}

// TestSelftestIsWitnessed: what cannot be written down does not count.
func TestSelftestIsWitnessed(t *testing.T) {
	full := errors.New("disk is full")
	s := &selftest{
		store: &probes{results: []any{storage.WormVerified}}, classes: func() []policy.Class { return nil }, log: zap.NewNop(),
		witness: func(context.Context, string, any) error { return full },
	}
	if err := s.start(t.Context()); !errors.Is(err, full) || s.is(storage.WormVerified) {
		t.Errorf("start: %v", err)
	}
}
