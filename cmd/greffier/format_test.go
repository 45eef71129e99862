package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/media/wav"
	"github.com/greffier/greffier/siprec/siprectest"
)

// TestStoredFormats: a class's format is what the command line and the API give, under its name and type, and what was said is where
// it was, to the judge's limits.
func TestStoredFormats(t *testing.T) {
	for format, mediaType := range map[string]string{"flac": "audio/flac", "opus": "audio/ogg"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			policy := filepath.Join(t.TempDir(), "policy.yaml")
			text := strings.Replace(readFile(t, recordAll), "sample: 100%", "sample: 100%\n    format: "+format, 1)
			if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			dir, work := t.TempDir(), t.TempDir()
			s := start(t, dir, policy)
			truth := converse(t, s.src("udp"), bursts(), 3*time.Second)
			row := settle(t, dir, 1, 20*time.Second)[0]

			out := filepath.Join(work, "call")
			if text, code := cliRun(t, "recordings", "play", row.ID, "--data-dir", dir, "-o", out); code != exitOK {
				t.Fatalf("play: exit %d: %s", code, text)
			}
			if _, code := cliRun(t, "recordings", "play", row.ID, "--data-dir", dir, "-o", out+".wav"); code == exitOK {
				t.Error("a file of another format was called .wav")
			}
			played, err := os.ReadFile(out + "." + format)
			if err != nil {
				t.Fatal(err)
			}
			decoded := filepath.Join(work, "decoded.wav")
			if text, err := exec.Command("ffmpeg", "-v", "error", "-i", out+"."+format, "-ar", "8000", "-c:a", "pcm_s16le", decoded).CombinedOutput(); err != nil {
				t.Fatalf("ffmpeg, which this test needs: %v: %s", err, text)
			}
			b, err := os.ReadFile(decoded)
			if err != nil {
				t.Fatal(err)
			}
			info, channels, err := wav.ReadSamples(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			if err := siprectest.Compare(channels, info.SampleRate, labels(row), truth).Check(siprectest.DefaultLimits); err != nil {
				t.Error(err)
			}

			status, header, whole := fetch(t, s, "/api/v1/recordings/"+row.ID+"/audio", "")
			if status != http.StatusOK || header.Get("Content-Type") != mediaType || !strings.Contains(header.Get("Content-Disposition"), row.ID+"."+format) || !bytes.Equal(whole, played) {
				t.Errorf("audio: %d, %v, %d bytes, played %d", status, header, len(whole), len(played))
			}
			if status, _, part := fetch(t, s, "/api/v1/recordings/"+row.ID+"/audio", "bytes=10-29"); status != http.StatusPartialContent || !bytes.Equal(part, played[10:30]) {
				t.Errorf("range: %d, %d bytes", status, len(part))
			}
			verifyGood(t, dir)
		})
	}
}

func fetch(t *testing.T, s *running, path, span string) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
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
	return resp.StatusCode, resp.Header, body
}

// TestWaveformAndQuality: the API draws what was said, and a search finds calls by how well they came.
func TestWaveformAndQuality(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	spec := bursts()
	spec.Streams[1].Script.Gaps = []siprectest.Gap{{At: time.Second, For: 500 * time.Millisecond, Lost: true}}
	converse(t, s.src("udp"), spec, 3*time.Second)
	row := settle(t, dir, 1, 20*time.Second)[0]
	status, _, body := fetch(t, s, "/api/v1/recordings/"+row.ID+"/waveform", "")
	var wave struct {
		IntervalMS int      `json:"interval_ms"`
		Channels   [][]byte `json:"channels"`
	}
	if err := json.Unmarshal(body, &wave); err != nil || status != http.StatusOK || wave.IntervalMS != 50 || len(wave.Channels) != 2 {
		t.Fatalf("waveform: %d %s, %v", status, body, err)
	}
	if n := len(wave.Channels[0]); n < 58 || n > 62 || bytes.Count(wave.Channels[0], []byte{0}) > n-5 {
		t.Errorf("%d points of 3 s: %v", n, wave.Channels[0])
	}
	if status, _, _ := fetch(t, s, "/api/v1/recordings/nobody/waveform", ""); status != http.StatusNotFound {
		t.Errorf("the waveform of nothing: %d", status)
	}
	for query, want := range map[string]int{"mos_below=4": 1, "mos_below=1": 0, "loss_above=10": 1, "loss_above=50": 0} {
		_, _, body := fetch(t, s, "/api/v1/recordings?"+query, "")
		var answer struct{ Recordings []listedRecording }
		if err := json.Unmarshal(body, &answer); err != nil || len(answer.Recordings) != want {
			t.Errorf("%s finds %s, %v", query, body, err)
		}
	}
	if status, _, _ := fetch(t, s, "/api/v1/recordings?mos_below=bad", ""); status != http.StatusBadRequest {
		t.Errorf("an unreadable filter: %d", status)
	}
	for filter, want := range map[string]int{"--mos-below=4": 1, "--mos-below=1": 0, "--loss-above=10": 1, "--loss-above=50": 0} {
		if got := list(t, dir, filter); len(got) != want {
			t.Errorf("list %s finds %d", filter, len(got))
		}
	}
	out, _ := cliRun(t, "recordings", "show", row.ID, "--data-dir", dir)
	if !strings.Contains(out, `"rms_dbfs"`) || !strings.Contains(out, `"worst_mos"`) || strings.Contains(out, `"waveform"`) {
		t.Errorf("show: %s", out)
	}
	verifyGood(t, dir)
}
