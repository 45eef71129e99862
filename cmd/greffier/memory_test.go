package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// A tune is a sound that repeats itself every 32 samples, so that any stretch of it that is long enough holds the same bytes.
type tune float64

// The tunes of the memory's tests: what may be kept, and what may not.
const (
	lawful   tune = 1250
	unlawful tune = 1750
)

// Read implements siprectest.Source.
func (f tune) Read(dst []int16, pos int64) int {
	for i := range dst {
		dst[i] = int16(math.Round(9000 * math.Sin(2*math.Pi*float64(f)*float64((pos+int64(i))%32)/8000)))
	}
	return len(dst)
}

// needles are the forms in which a tune may stand in memory or in a file: in its law or linear, alone or beside the other channel, which
// says the same.
func (f tune) needles() map[string][]byte {
	pcm := make([]int16, 64)
	f.Read(pcm, 0)
	law := siprectest.EncodePCMU(nil, pcm)
	out := map[string][]byte{"PCMU": law}
	heard := make([]int16, len(law))
	codec.Decode(heard, codec.PCMU, law)
	var pair, linear, linearPair []byte
	for i, b := range law {
		v := heard[i]
		pair = append(pair, b, b)
		linear = append(linear, byte(v), byte(uint16(v)>>8))
		linearPair = append(linearPair, byte(v), byte(uint16(v)>>8), byte(v), byte(uint16(v)>>8))
	}
	out["PCMU pairs"], out["linear"], out["linear pairs"] = pair, linear, linearPair
	return out
}

// dump writes a process's memory to a file, as somebody might who has taken the machine, and gives its name.
func dump(t *testing.T, pid int) string {
	t.Helper()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	path := filepath.Join(t.TempDir(), "memory")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") {
			continue
		}
		if _, err := io.Copy(out, io.NewSectionReader(mem, from, to-from)); err != nil {
			continue // a part that was never used
		}
	}
	return path
}

// holdsTune lists the forms in which a tune stands in any of the files below some paths.
func holdsTune(t *testing.T, f tune, paths ...string) (found []string) {
	t.Helper()
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for form, needle := range f.needles() {
				if n := bytes.Count(b, needle); n > 0 {
					found = append(found, fmt.Sprintf("%s: %d times %s", filepath.Base(path), n, form))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// TestNothingInMemory: of what may not be kept nothing is in spool, store or catalog, nor in a dump of the process's memory: what was
// held and not allowed, what was said in a pause, what came although the call is not recorded, what somebody objected to.
func TestNothingInMemory(t *testing.T) {
	const phase = 2 * time.Second
	tests := map[string]struct {
		policy string
		says   [2]tune // in the first two phases
		act    func(ctx context.Context, call *siprectest.Call, post func(path, body string))
	}{
		"held and forgotten": {policy: trial(t, "consent: {mode: opt_in_all, unknown: hold, within: PT2S}"), says: [2]tune{unlawful, unlawful}},
		"not recorded":       {policy: trial(t, "sample: 0.0000000001%"), says: [2]tune{unlawful, unlawful}},
		"paused": {policy: recordAll, says: [2]tune{lawful, unlawful}, act: func(_ context.Context, _ *siprectest.Call, post func(path, body string)) {
			post("/pause", `{"reason":"payment"}`)
		}},
		"objected": {policy: trial(t, "consent: {mode: opt_out, objection: destroy}"), says: [2]tune{unlawful, unlawful}, act: func(_ context.Context, _ *siprectest.Call, post func(path, body string)) {
			post("/consent", `{"party":"customer","kind":"objected","source":"api"}`)
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := spawn(t, "serve", "--data-dir="+dir, "--policy="+test.policy, "--sip-listen=udp://127.0.0.1:0,tcp://127.0.0.1:0", "--http-listen=127.0.0.1:0", "--media-ports=0-0", "--log-level=warn")
			if env := readFile(t, fmt.Sprintf("/proc/%d/environ", p.cmd.Process.Pid)); !strings.Contains(env, noPreemption) {
				t.Error("the server is interrupted by signals, which leave registers in memory")
			}
			c, err := siprectest.Dial(t.Context(), siprectest.Config{Server: p.sip, Transport: "udp"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			says := siprectest.SourceFunc(func(dst []int16, pos int64) int {
				return test.says[min(1, pos/int64(phase.Seconds()*8000))].Read(dst, pos)
			})
			spec := conversation(phase)
			for i := range spec.Streams {
				spec.Streams[i].Source = says
			}
			if test.act != nil {
				spec.Timeline = append(spec.Timeline, siprectest.Event{At: phase - 100*time.Millisecond, Do: func(ctx context.Context, call *siprectest.Call) error {
					test.act(ctx, call, func(path, body string) { p.post(t, dir, path, body) })
					return nil
				}})
			}
			call, err := c.Invite(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			if err := call.Play(t.Context(), 2*phase); err != nil {
				t.Fatal(err)
			}
			if found := holdsTune(t, unlawful, dump(t, p.cmd.Process.Pid), dir); len(found) > 0 {
				t.Errorf("while the call goes on, what may not be kept is in %v", found)
			}
			if test.says[0] == lawful && len(holdsTune(t, lawful, dump(t, p.cmd.Process.Pid))) > 0 {
				t.Log("what was recorded before the pause is in memory still")
			}
			if err := call.Bye(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the call has ended", 20*time.Second, func() bool {
				rows := list(t, dir)
				return len(rows) > 0 && !rows[0].EndedAt.IsZero() && rows[0].State != "finishing" && rows[0].State != "recording"
			})
			if found := holdsTune(t, unlawful, dump(t, p.cmd.Process.Pid), dir); len(found) > 0 {
				t.Errorf("after the call, what may not be kept is in %v", found)
			}
		})
	}
	t.Run("recorded", func(t *testing.T) { // the search finds what is there
		t.Parallel()
		dir := t.TempDir()
		p := spawn(t, "serve", "--data-dir="+dir, "--policy="+recordAll, "--sip-listen=udp://127.0.0.1:0", "--http-listen=127.0.0.1:0", "--media-ports=0-0", "--log-level=warn")
		c, err := siprectest.Dial(t.Context(), siprectest.Config{Server: p.sip, Transport: "udp"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		call, err := c.Invite(t.Context(), siprectest.TwoParty(unlawful, unlawful))
		if err != nil {
			t.Fatal(err)
		}
		if err := call.Play(t.Context(), phase); err != nil {
			t.Fatal(err)
		}
		if found := holdsTune(t, unlawful, dump(t, p.cmd.Process.Pid)); len(found) == 0 {
			t.Error("a recording in progress is not found in memory: the search proves nothing")
		}
		if found := holdsTune(t, unlawful, dir); len(found) > 0 {
			t.Errorf("a recording in progress is in clear in %v", found)
		}
		if err := call.Bye(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	})
}

// post asks the server's API for something about the only call that goes on.
func (p *process) post(t *testing.T, dir, path, body string) {
	t.Helper()
	token := strings.TrimSpace(readFile(t, filepath.Join(dir, secretsDir, tokenFile)))
	do := func(method, url, body string) string {
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode >= 300 {
			t.Fatalf("%s %s: %s: %s: %v", method, url, res.Status, b, err)
		}
		return string(b)
	}
	_, id, ok := strings.Cut(do(http.MethodGet, p.url+"/api/v1/calls", ""), `"id":"`)
	if !ok {
		t.Fatal("no call goes on")
	}
	id, _, _ = strings.Cut(id, `"`)
	do(http.MethodPost, p.url+"/api/v1/calls/"+id+path, body)
}
