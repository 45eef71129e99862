package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/media/wav"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// withPassword writes a configuration whose only source has to know a password, and the password's file.
func withPassword(t *testing.T, dir, password string, more ...string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "password")
	config := fmt.Sprintf("sip:\n  realm: recordings\n  sources: [{name: sbc, addresses: [127.0.0.1], digest_user: sbc1, digest_password_file: %s%s}]\n", file, strings.Join(more, ""))
	for path, text := range map[string]string{file: password + "\n", filepath.Join(dir, configName): config} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// TestDigestCalls records calls of clients that know the password, over both transports and by both algorithms, and of the
// command; one that does not know it is refused, witnessed and counted.
func TestDigestCalls(t *testing.T) {
	const password = "correct horse: battery \"staple\""
	dir := t.TempDir()
	file := withPassword(t, dir, password)
	s := start(t, dir, recordAll)
	n := 0
	for _, transport := range []string{"udp", "tcp"} {
		for _, md5 := range []bool{false, true} {
			src, err := siprectest.Dial(t.Context(), siprectest.Config{
				Server: s.address(transport), Transport: transport,
				Credentials: siprectest.Credentials{User: "sbc1", Password: siprec.NewSecret([]byte(password)), MD5: md5},
			})
			if err != nil {
				t.Fatal(err)
			}
			call, err := src.Invite(t.Context(), bursts())
			if err != nil {
				t.Fatal(err)
			}
			if err := call.Play(t.Context(), time.Second); err != nil {
				t.Fatal(err)
			}
			if _, err := call.ReInvite(t.Context(), siprectest.Change{}); err != nil {
				t.Error(err)
			}
			if err := call.Bye(t.Context(), nil); err != nil {
				t.Error(err)
			}
			if err := src.Close(); err != nil {
				t.Error(err)
			}
			n++
		}
	}
	left := filepath.Join(t.TempDir(), "left.wav")
	writeTone(t, left)
	fork := []string{"fork", "--to", s.address("udp"), "--left", left, "--right", left, "--duration", "1s", "--calls", "3"}
	if out, code := cliRun(t, append(fork, "--user", "sbc1", "--password-file", file)...); code != exitOK {
		t.Errorf("fork: exit %d: %s", code, out)
	}
	settle(t, dir, n+3, 20*time.Second)
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte("guess"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string][]string{"no password": nil, "wrong password": {"--user", "sbc1", "--password-file", wrong}} {
		if out, code := cliRun(t, append(fork, more...)...); code == exitOK || strings.Contains(out, "guess") {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
	}
	if rows := list(t, dir); len(rows) != n+3 {
		t.Errorf("%d recordings, want %d", len(rows), n+3)
	}
	if got := metric(t, s.url(), `greffier_refused_causes_total{cause="credentials"}`); got == 0 {
		t.Error("wrong credentials are not counted")
	}
	verifyGood(t, dir)
}

// writeTone writes a second of sound as fork reads it.
func writeTone(t *testing.T, path string) {
	t.Helper()
	pcm := make([]int16, 8000)
	siprectest.Bursts(440, time.Second, 100*time.Millisecond).Read(pcm, 0)
	data := siprectest.EncodePCMU(nil, pcm)
	file := append(wav.Header(wav.Format{Tag: wav.MuLaw, SampleRate: 8000, Channels: 1, BitsPerSample: 8}, int64(len(data))), data...)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
}

// metric reads one value of the server's metrics; 0 when it is not there.
func metric(t *testing.T, url, name string) float64 {
	t.Helper()
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	return 0
}

// TestDigestSIPp is a call of SIPp's own client of digest authentication.
func TestDigestSIPp(t *testing.T) {
	dir := t.TempDir()
	withPassword(t, dir, "secret1", ", digest_algorithms: [MD5]") // it reads the first challenge only, and knows nothing else
	s := start(t, dir, recordAll)
	scenario, err := filepath.Abs("../../testdata/sipp/src-digest.xml")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sipp", s.address("udp"), "-sf", scenario, "-m", "1", "-i", "127.0.0.1", "-timeout", "20s",
		"-au", "sbc1", "-ap", "secret1", "-trace_err", "-nostdin")
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "TERM=dumb")
	if out, err := cmd.CombinedOutput(); err != nil {
		errs, _ := filepath.Glob(filepath.Join(work, "*_errors.log"))
		for _, e := range errs {
			out = append(out, readFile(t, e)...)
		}
		t.Fatalf("sipp: %v\n%s", err, lastLines(string(out), 60))
	}
	settle(t, dir, 1, 20*time.Second)
}
