package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/media/wav"
	"github.com/greffier/greffier/siprec/siprectest"
)

// TestRebuildGivesTheSameAnswers deletes the catalog and makes it again: queries answer as before, for calls that were
// recorded and for those that were not.
func TestRebuildGivesTheSameAnswers(t *testing.T) {
	dir := t.TempDir()
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, demoPolicy, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, policy)
	for _, line := range []string{"sales", "support", "payments"} {
		spec := bursts()
		spec.Metadata = siprectest.NewMetadata(
			siprectest.Participant{AOR: "sip:+33140000011@carrier.example", Name: "Mrs Martin", Sends: spec.Metadata.Participants[0].Sends},
			siprectest.Participant{AOR: "sip:" + line + "@corp.example", Name: line, Sends: spec.Metadata.Participants[1].Sends})
		converse(t, s.src("udp"), spec, time.Second)
	}
	settle(t, dir, 3, 20*time.Second)
	s.stop()
	queries := [][]string{{}, {"--party", "martin"}, {"--number", "+33140000011"}, {"--state", "not_recorded"}, {"--rule", "sales"}, {"--class", "payments"}}
	ask := func() (all []string) {
		for _, q := range queries {
			out, _ := cliRun(t, append([]string{"recordings", "list", "--json", "--data-dir", dir}, q...)...)
			all = append(all, out)
		}
		return all
	}
	before := ask()
	for i, want := range []int{3, 2, 3, 1, 1, 1} {
		if got := len(list(t, dir, queries[i]...)); got != want {
			t.Fatalf("query %v finds %d, want %d", queries[i], got, want)
		}
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(dir, catalogFile+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if out, code := cliRun(t, "verify", "--data-dir", dir); code == exitOK {
		t.Errorf("verify agrees without a catalog: %s", out)
	}
	if out, code := cliRun(t, "catalog", "rebuild", "--data-dir", dir); code != exitOK {
		t.Fatalf("rebuild: exit %d: %s", code, out)
	}
	if diff := cmp.Diff(before, ask()); diff != "" {
		t.Errorf("answers differ (-before +after):\n%s", diff)
	}
	verifyGood(t, dir)
}

// TestVerifyFindsDamage changes one byte, or takes one thing away, and expects verify to say so.
func TestVerifyFindsDamage(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	converse(t, s.src("udp"), bursts(), time.Second)
	settle(t, dir, 1, 20*time.Second)
	s.stop()
	verifyGood(t, dir)
	damage := map[string]func(t *testing.T, copy string){
		"audio changed":   func(t *testing.T, d string) { flip(t, d, storeDir, audioObject) },
		"sidecar changed": func(t *testing.T, d string) { flip(t, d, storeDir, "recording.json.age") },
		"audit changed":   func(t *testing.T, d string) { flip(t, d, auditDir, ".jsonl") },
		"key removed":     func(t *testing.T, d string) { remove(t, d, keysDir, ".age") },
		"audio removed":   func(t *testing.T, d string) { remove(t, d, storeDir, audioObject) },
		"catalog removed": func(t *testing.T, d string) { remove(t, d, "", catalogFile) },
	}
	for name, harm := range damage {
		t.Run(name, func(t *testing.T) {
			d := filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(d, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if err := chmodTree(d); err != nil {
				t.Fatal(err)
			}
			verifyGood(t, d)
			harm(t, d)
			if out, code := cliRun(t, "verify", "--data-dir", d); code == exitOK {
				t.Errorf("verify agrees: %s", out)
			} else {
				t.Log(out)
			}
		})
	}
}

const audioObject = "recording.wav.age"

// chmodTree gives a copied data directory the modes that it had.
func chmodTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
}

// find gives the largest file under dir/top whose path holds the text.
func find(t *testing.T, dir, top, text string) string {
	t.Helper()
	found, size := "", int64(-1)
	err := filepath.WalkDir(filepath.Join(dir, top), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, text) {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			found, size = path, info.Size()
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no file like %s under %s: %v", text, top, err)
	}
	return found
}

func flip(t *testing.T, dir, top, text string) {
	t.Helper()
	path := find(t, dir, top, text)
	b := []byte(readFile(t, path))
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, top, text string) {
	t.Helper()
	if err := os.Remove(find(t, dir, top, text)); err != nil {
		t.Fatal(err)
	}
}

// TestHTTP reads list, metrics and audio over the API, with and without the token.
func TestHTTP(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	converse(t, s.src("udp"), bursts(), 2*time.Second)
	rows := settle(t, dir, 1, 20*time.Second)
	get := func(path, token, span string) (int, []byte) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		if span != "" {
			req.Header.Set("Range", span)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, body
	}
	audio := "/api/v1/recordings/" + rows[0].ID + "/audio"
	_, whole := get(audio, s.Token, "")
	if len(whole) < 2*2*8000 || string(whole[:4]) != "RIFF" {
		t.Fatalf("audio has %d bytes", len(whole))
	}
	if code, part := get(audio, s.Token, "bytes=100-199"); code != http.StatusPartialContent || string(part) != string(whole[100:200]) {
		t.Errorf("range: %d, %d bytes", code, len(part))
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/": 200, audio: 401, "/api/v1/recordings": 401} {
		if code, _ := get(path, "", ""); code != want {
			t.Errorf("GET %s without token: %d, want %d", path, code, want)
		}
	}
	if code, _ := get("/api/v1/recordings", strings.Repeat("0", 64), ""); code != http.StatusUnauthorized {
		t.Errorf("GET with a wrong token: %d", code)
	}
	code, body := get("/api/v1/recordings?party=alice", s.Token, "")
	var answer struct{ Recordings []listedRecording }
	if err := json.Unmarshal(body, &answer); err != nil || code != 200 || len(answer.Recordings) != 1 {
		t.Errorf("list: %d %s %v", code, body, err)
	}
	if code, _ := get("/api/v1/recordings?partei=alice", s.Token, ""); code != http.StatusBadRequest {
		t.Errorf("an unknown filter: %d, want 400", code)
	}
}

// TestConfigExampleIsRead feeds the printed example back, with every commented key switched on.
func TestConfigExampleIsRead(t *testing.T) {
	text, code := cliRun(t, "config", "example")
	if code != exitOK {
		t.Fatal(text)
	}
	path := filepath.Join(t.TempDir(), "greffier.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := cliRun(t, "config", "check", "--config", path); code != exitOK {
		t.Errorf("config check: exit %d: %s", code, out)
	}
}

// TestConfigMistakes: each gets an error that says what to do.
func TestConfigMistakes(t *testing.T) {
	cases := map[string]struct{ yaml, want string }{
		"unknown key":      {"sipp: {}", "field sipp not found"},
		"doubled key":      {"policy: a\npolicy: b", "already defined"},
		"open listener":    {"sip: {listen: ['udp://0.0.0.0:5060']}", "sources"},
		"bad source":       {"sip: {sources: [{name: a, addresses: [here]}]}", "neither an address nor a network"},
		"nameless source":  {"sip: {sources: [{addresses: [10.0.0.1]}]}", "needs a name"},
		"bad ports":        {"media: {ports: all}", "write it as 20000-29999"},
		"open page":        {"http: {listen: '0.0.0.0:8080'}", "tls_cert"},
		"store without S3": {"store: {type: s3}", "endpoint and bucket"},
		"no such policy":   {"policy: nowhere.yaml", "nowhere.yaml"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "greffier.yaml")
			if err := os.WriteFile(path, []byte(c.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errOut strings.Builder
			code := run(t.Context(), []string{"config", "check", "--config", path}, &out, &errOut)
			if code == exitOK || !strings.Contains(errOut.String(), c.want) {
				t.Errorf("exit %d: %s, want %q", code, errOut.String(), c.want)
			}
		})
	}
}

// TestFork is an operator's test of an installation: two calls from two files, with a metadata document of theirs.
func TestFork(t *testing.T) {
	dir, work := t.TempDir(), t.TempDir()
	s := start(t, dir, recordAll)
	for name, f := range map[string]float64{"left.wav": 440, "right.wav": 880} {
		pcm := make([]int16, 2*8000)
		siprectest.Bursts(f, time.Second, 100*time.Millisecond).Read(pcm, 0)
		data := siprectest.EncodePCMU(nil, pcm)
		file := append(wav.Header(wav.Format{Tag: wav.MuLaw, SampleRate: 8000, Channels: 1, BitsPerSample: 8}, int64(len(data))), data...)
		if err := os.WriteFile(filepath.Join(work, name), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	metadata := bursts().Metadata
	metadata.Participants[0].Name = "Zoé"
	if err := os.WriteFile(filepath.Join(work, "m.xml"), metadata.Marshal(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := cliRun(t, "fork", "--to", s.address("udp"), "--left", filepath.Join(work, "left.wav"), "--right", filepath.Join(work, "right.wav"),
		"--metadata", filepath.Join(work, "m.xml"), "--calls", "2", "--json")
	var report struct{ Calls, Completed int }
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitOK || report.Completed != 2 {
		t.Fatalf("fork: exit %d: %s", code, out)
	}
	settle(t, dir, 2, 20*time.Second)
	rows := list(t, dir, "--party", "zoé")
	if len(rows) != 2 || rows[0].DurationMS != 2000 {
		t.Errorf("found %+v", rows)
	}
	for i, srtp := range []string{"dtls", "AEAD_AES_128_GCM"} {
		out, code := cliRun(t, "fork", "--to", s.address("udp"), "--left", filepath.Join(work, "left.wav"), "--right", filepath.Join(work, "right.wav"), "--srtp", srtp)
		if code != exitOK {
			t.Fatalf("fork --srtp %s: exit %d: %s", srtp, code, out)
		}
		for _, r := range settle(t, dir, 3+i, 20*time.Second) {
			if r.DurationMS != 2000 {
				t.Errorf("after --srtp %s: %+v", srtp, r)
			}
		}
	}
}

// TestReadme reads the configuration and the policy that the README shows.
func TestReadme(t *testing.T) {
	var blocks []string
	for _, part := range strings.Split(readFile(t, "../../README.md"), "```yaml\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, block)
	}
	if len(blocks) != 2 {
		t.Fatalf("%d YAML blocks in the README, want configuration and policy", len(blocks))
	}
	dir := t.TempDir()
	config, policy := filepath.Join(dir, "greffier.yaml"), filepath.Join(dir, "policy.yaml")
	p := newPKI(t)
	p.issue("sip", "DNS:greffier.example.com")
	for path, text := range map[string]string{config: strings.NewReplacer(
		"/etc/greffier/policy.yaml", policy, "/etc/greffier/sip.", p.path("sip."), "/etc/greffier/sbc-ca.pem", p.path("ca.pem"),
	).Replace(blocks[0]), policy: blocks[1]} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := cliRun(t, "config", "check", "-c", config); code != exitOK || !strings.Contains(out, "configuration is good") {
		t.Errorf("config check: exit %d: %s", code, out)
	}
}
