//go:build bench && linux

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/siprec/siprectest"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/spool"
)

// program is what make builds, and make bench measures.
const program = "../../bin/greffier"

// serverArgs are those of a server on free loopback ports.
func serverArgs(dir string) []string {
	return []string{"serve", "--data-dir", dir, "--policy", recordAll, "--sip-listen", "udp://127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--media-ports", "0-0", "--log-level", "warn"}
}

// launch starts what is to be measured: the built program for "", else what the test binary can be.
func launch(t *testing.T, as string, env ...string) *process {
	t.Helper()
	cmd := exec.Command(program, serverArgs(t.TempDir())...)
	if as != "" {
		cmd.Path = os.Args[0]
		cmd.Env = append(append(os.Environ(), childEnv+"="+as), env...)
	}
	return spawnCommand(t, cmd)
}

// pause waits: the benchmark measures over time.
func pause(d time.Duration) { <-time.After(d) }

// A voice is what every stream says: noise, over and over, without a silence that could be suppressed. It counts the frames
// that were asked for, each of which is one packet.
type voice struct {
	pcm    []int16
	frames *atomic.Int64
}

func newVoice() voice {
	v := voice{pcm: make([]int16, 8000), frames: new(atomic.Int64)}
	x := uint32(1)
	for i := range v.pcm {
		x = x*1664525 + 1013904223
		v.pcm[i] = int16(x>>16) / 4
	}
	return v
}

// Read implements siprectest.Source.
func (v voice) Read(dst []int16, pos int64) int {
	v.frames.Add(1)
	n := copy(dst, v.pcm[pos%int64(len(v.pcm)):])
	copy(dst[n:], v.pcm)
	return len(dst)
}

// A sender is the load generator, in this process.
type sender struct {
	*siprectest.Client
	voice voice
}

// senderPacers is the number of goroutines that send.
const senderPacers = 2

func newSender(t *testing.T, server string) sender {
	t.Helper()
	c, err := siprectest.Dial(t.Context(), siprectest.Config{Server: server, Pacers: senderPacers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return sender{c, newVoice()}
}

// load opens calls at a rate, each of which lasts d, and gives what became of them at their end.
func (s sender) load(ctx context.Context, calls int, rate float64, d time.Duration) <-chan siprectest.LoadReport {
	report := make(chan siprectest.LoadReport, 1)
	go func() {
		report <- s.Load(ctx, siprectest.LoadSpec{Calls: calls, Rate: rate, Duration: d,
			Call: func(int) siprectest.CallSpec { return siprectest.TwoParty(s.voice, s.voice) }})
	}()
	return report
}

// profiled takes a profile of a server in its steady state.
func profiled(t *testing.T, file string, sessions int) {
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	p := launch(t, asProfiled, profileEnv+"="+path)
	s := newSender(t, p.sip)
	ramp := rampOf(sessions, benchRate)
	report := s.load(t.Context(), sessions, benchRate, ramp+benchSettle+benchWindow+benchMargin)
	pause(ramp + benchSettle)
	for range 2 {
		if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		pause(benchWindow)
	}
	<-report
	eventually(t, "profile written", 10*time.Second, func() bool { _, err := os.Stat(path); return err == nil })
	t.Logf("profile of the server at %d sessions: go tool pprof %s; of its memory: %s.heap", sessions, path, path)
}

// A finishing is what it costs to seal, hash, store and lock one long call.
type finishing struct {
	Length  string  `json:"call"`
	CPU     float64 `json:"cpu_seconds"`
	Elapsed float64 `json:"elapsed_seconds"`
}

// finish measures the server at the end of a call of an hour. The call is one that a crash cut: its spool is lengthened while
// no server runs, and the next one finishes it. That reads the spool once more than the end of an ordinary call does.
func finish(t *testing.T) finishing {
	dir := t.TempDir()
	p := spawnCommand(t, exec.Command(program, serverArgs(dir)...))
	s := newSender(t, p.sip)
	if _, err := s.Invite(t.Context(), siprectest.TwoParty(s.voice, s.voice)); err != nil {
		t.Fatal(err)
	}
	pause(2 * time.Second) // some blocks
	p.kill(t)
	folder := lengthen(t, dir, time.Hour)

	begin := time.Now()
	p = spawnCommand(t, exec.Command(program, serverArgs(dir)...))
	eventually(t, "recording finished", time.Minute, func() bool { _, err := os.Stat(folder); return os.IsNotExist(err) })
	elapsed, used := time.Since(begin), p.cpuTime(t)
	p.kill(t)
	if rows := list(t, dir, "--state", "locked"); len(rows) != 1 || rows[0].DurationMS < time.Hour.Milliseconds() {
		t.Errorf("what was finished: %+v", rows)
	}
	// The same server, for as long, with nothing to finish.
	begin = time.Now()
	p = spawnCommand(t, exec.Command(program, serverArgs(dir)...))
	pause(elapsed - time.Since(begin))
	used -= p.cpuTime(t)
	return finishing{Length: time.Hour.String(), CPU: used.Seconds(), Elapsed: elapsed.Seconds()}
}

// spoolBlock is the kind of a spool's records that hold a block of audio.
const spoolBlock = 2

// lengthen appends sound to the one recording in the spool, and gives its folder.
func lengthen(t *testing.T, dir string, d time.Duration) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	wrapper, err := seal.LocalFile(filepath.Join(dir, secretsDir, kekFile))
	must(err)
	keys, err := seal.OpenKeys(t.Context(), filepath.Join(dir, keysDir), wrapper)
	must(err)
	sp, err := spool.Open(filepath.Join(dir, spoolDir), spool.Options{})
	must(err)
	ids, err := sp.List()
	must(err)
	if len(ids) != 1 {
		t.Fatalf("recordings in the spool: %v", ids)
	}
	key, err := keys.Get(t.Context(), ids[0])
	must(err)
	w, err := sp.Reopen(ids[0], key.SpoolKey())
	must(err)
	b := media.Block{Samples: media.Rate / 2, Rate: media.Rate, Channels: 2, Encoding: codec.PCMU}
	b.Data = siprectest.EncodePCMU(nil, newVoice().pcm) // half a second of two channels
	var stored []byte
	for b.Start = 10 * media.Rate; b.Start < 10*media.Rate+int64(d.Seconds())*media.Rate; b.Start += int64(b.Samples) {
		stored = b.Marshal(stored[:0])
		must(w.Append(spoolBlock, stored))
	}
	must(w.Close())
	must(sp.Close())
	folders, err := filepath.Glob(filepath.Join(dir, spoolDir, "*", ids[0]))
	must(err)
	if len(folders) != 1 {
		t.Fatalf("folder of the recording: %v", folders)
	}
	return folders[0]
}
