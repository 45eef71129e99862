package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// The two recording sessions of one call that outlives its first server.
var failover = []flow{
	{
		name: "failover-1", about: "a call whose server dies: the client hears nothing of it",
		steps: []step{{how: invite, lines: both, doc: onward(), tones: tones{400, 500}, wait: 4 * phase}, {how: vanish}},
	},
	{
		name: "failover-2", about: "the same call, told to another server with the same metadata",
		steps: []step{{how: invite, lines: both, doc: onward(), tones: tones{600, 700}, wait: phase}, {how: bye}},
	},
}

// onwardID is the call's identifier, whichever server records it.
const onwardID = "4711aa00bb11cc22dd33ee44ff556677"

func onward() *siprectest.Metadata {
	m := couple()
	m.SIPSessionIDs = []string{onwardID}
	return m
}

// TestFailover: a server is killed in the middle of a call, and the client goes on with another one, which shares the store. Both
// halves are kept: the first as soon as its server is back. The second server finds both, and that they are one conversation.
func TestFailover(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) { failOver(t, transport) })
	}
}

func failOver(t *testing.T, transport string) {
	t.Helper()
	store, work := t.TempDir(), t.TempDir()
	first, second := t.TempDir(), t.TempDir()
	if err := sounds(work, failover); err != nil {
		t.Fatal(err)
	}
	p := newPKI(t)
	p.issue("server", "IP:127.0.0.1")
	config := fmt.Sprintf("store: {dir: %s}\nsip: {tls_cert: %s, tls_key: %s}\n", store, p.path("server.pem"), p.path("server.key"))
	for _, dir := range []string{first, second} {
		if err := os.WriteFile(filepath.Join(dir, configName), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), flowPatience)
	defer cancel()
	args := func(dir string) []string {
		return []string{"serve", "--data-dir", dir, "--policy", recordAll, "--sip-listen", "udp://127.0.0.1:0,tcp://127.0.0.1:0,tls://127.0.0.1:0", "--http-listen", "127.0.0.1:0",
			"--media-ports", "0-0", "--log-level", "error"}
	}
	a := spawn(t, args(first)...)
	copyFiles(t, filepath.Join(first, secretsDir), filepath.Join(second, secretsDir)) // the nodes of one installation share them
	b := spawn(t, args(second)...)

	half := func(i int, server *process) error {
		f := failover[i]
		switch transport {
		case "tls":
			return f.playTLS(ctx, p, server.tls)
		case "tcp":
			return sipp(ctx, work, server.tcp, "tcp", f.scenarioFile(), f.name)
		}
		return sipp(ctx, work, server.sip, "udp", f.scenarioFile(), f.name)
	}
	done := make(chan error, 1)
	go func() { done <- half(0, a) }()
	eventually(t, "recording begun", 10*time.Second, func() bool { return len(list(t, first, "--state", "recording")) == 1 })
	if err := pass(ctx, 2*phase); err != nil { // of which the last second may be lost
		t.Fatal(err)
	}
	a.kill(t)
	if err := half(1, b); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil && transport == "udp" { // over a connection the client notices, and gives up
		t.Fatal(err)
	}
	spawn(t, args(first)...)
	for _, dir := range []string{first, second} {
		eventually(t, "recording locked", 20*time.Second, func() bool { return len(list(t, dir, "--state", "locked")) == 1 })
	}
	copyFiles(t, filepath.Join(first, keysDir), filepath.Join(second, keysDir))
	if out, code := cliRun(t, "catalog", "rebuild", "--data-dir", second); code != exitOK {
		t.Fatalf("rebuild: exit %d: %s", code, out)
	}
	rows := list(t, second, "--call-id", onwardID)
	if len(rows) != 2 {
		t.Fatalf("%d halves, want 2", len(rows))
	}
	slices.SortFunc(rows, func(a, b listedRecording) int { return a.StartedAt.Compare(b.StartedAt) })
	for i, r := range rows {
		if found := list(t, second, "--conversation", r.ID); len(found) != 2 {
			t.Errorf("the conversation of half %d has %d recordings, want 2", i, len(found))
		}
		out, code := cliRun(t, "recordings", "show", r.ID, "--data-dir", second)
		var shown struct{ Conversation []struct{ ID string } }
		if err := json.Unmarshal([]byte(out), &shown); code != exitOK || err != nil {
			t.Fatalf("show: exit %d: %v", code, err)
		}
		if other := rows[1-i].ID; len(shown.Conversation) != 1 || shown.Conversation[0].ID != other {
			t.Errorf("half %d is shown with %v, want %s", i, shown.Conversation, other)
		}
	}
	for i, want := range []struct {
		cause string
		tones []int
	}{{"restart", []int{400}}, {"bye", []int{600}}} {
		if rows[i].EndCause != want.cause || rows[i].State != "locked" {
			t.Errorf("half %d is %s, ended by %s", i, rows[i].State, rows[i].EndCause)
		}
		channels, rate := play(t, second, rows[i].ID)
		kept{}.checkTones(t, 0, siprectest.Detect(channels[0], rate, 400, 500, 600, 700), want.tones)
	}
	// Each node has the decisions of its own calls only: it vouches for its half, and says that the other is not its own.
	for i, dir := range []string{first, second} {
		out, _ := cliRun(t, "verify", "--data-dir", dir)
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "PROBLEM") && !strings.Contains(line, rows[1-i].ID) {
				t.Errorf("verify of node %d: %s", i, line)
			}
		}
		if !strings.Contains(out, "audit entries") {
			t.Errorf("verify of node %d: %s", i, out)
		}
	}
}

// copyFiles copies the files under a directory that are not under the other.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(from), ".", func(name string, d fs.DirEntry, err error) error {
		path := filepath.Join(to, name)
		if err != nil || d.IsDir() {
			return errors.Join(err, os.MkdirAll(path, 0o700))
		}
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		return os.WriteFile(path, []byte(readFile(t, filepath.Join(from, name))), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
