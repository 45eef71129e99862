package main

import (
	"context"
	"database/sql"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/greffier/greffier/catalog/catalogtest"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec/siprectest"
)

// answerTime is how long a call may wait for its answer, whatever the catalog does.
const answerTime = 3 * time.Second

// A nuisance keeps a server from its catalog while it is told to.
type nuisance struct {
	address    string // of the database, for the server
	harm, heal func()
}

// onThisWire is one that harms connections to a database; without toxics it is away.
func onThisWire(t *testing.T, s *catalogtest.Server, toxics ...string) nuisance {
	t.Helper()
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "catalog", "127.0.0.1:0", s.Address())
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	listen := p.Listen
	if len(toxics) == 0 {
		return nuisance{listen, p.Stop, func() {
			p.Listen = listen
			if err := p.Start(); err != nil {
				t.Error(err)
			}
		}}
	}
	return nuisance{listen, func() {
		for _, toxic := range toxics {
			if _, err := p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
				t.Error(err)
			}
		}
	}, func() { p.Toxics.ResetToxics(context.Background()) }}
}

// restarts is one that ends the database's server as its machine's failure would.
func restarts(t *testing.T, s *catalogtest.Server) nuisance {
	return nuisance{s.Address(), func() { s.Stop(t) }, func() { s.Start(t) }}
}

// keptTime is how long another process keeps the file: longer than SQLite waits for it.
const keptTime = 11 * time.Second

// keptFile is one that keeps the catalog's file from being written.
func keptFile(t *testing.T, dir string) nuisance {
	t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.Join(dir, catalogFile), RawQuery: "_txlock=immediate"}).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	var kept *sql.Tx
	var over <-chan time.Time
	return nuisance{"", func() {
		if kept, err = db.Begin(); err != nil {
			t.Error(err)
		}
		over = time.After(keptTime)
	}, func() {
		<-over
		if err := kept.Rollback(); err != nil {
			t.Error(err)
		}
	}}
}

// inviteSoon begins a call, and expects its answer in time.
func inviteSoon(t *testing.T, src *siprectest.Client, spec siprectest.CallSpec) *siprectest.Call {
	t.Helper()
	began := time.Now()
	call, err := src.Invite(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(began); waited > answerTime {
		t.Errorf("a call was answered after %v", waited)
	}
	return call
}

func playAndBye(t *testing.T, call *siprectest.Call, d time.Duration) {
	t.Helper()
	if err := call.Play(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// objectTo has somebody object to the call that began after the ones before.
func (r *running) objectTo(before []recorder.Live) {
	r.t.Helper()
	for _, live := range r.recorder.Live() {
		if slices.ContainsFunc(before, func(x recorder.Live) bool { return x.ID == live.ID }) {
			continue
		}
		if _, err := r.recorder.Signal(r.t.Context(), live.ID, policy.Signal{Kind: policy.SignalObjected, Source: policy.FromAPI}, "test"); err != nil {
			r.t.Error(err)
		}
	}
}

// TestCatalogIsAway: whatever befalls the catalog while calls begin, go on and end, every call is answered in time and recorded whole, unless
// somebody objects: for good before, or while the catalog is away. When it is back it is told of everything by itself, and what is to be
// destroyed is.
func TestCatalogIsAway(t *testing.T) {
	for name, between := range map[string]func(t *testing.T) (nuisance, string){
		"away": func(t *testing.T) (nuisance, string) {
			return onThisWire(t, postgres.Server(t)), postgres.Server(t).Database(t)
		},
		"resets": func(t *testing.T) (nuisance, string) {
			return onThisWire(t, postgres.Server(t), `{"type":"reset_peer","stream":"downstream","attributes":{"timeout":30}}`), postgres.Server(t).Database(t)
		},
		"slow": func(t *testing.T) (nuisance, string) {
			return onThisWire(t, postgres.Server(t), `{"type":"latency","stream":"downstream","attributes":{"latency":2000}}`), postgres.Server(t).Database(t)
		},
		"hangs": func(t *testing.T) (nuisance, string) {
			return onThisWire(t, postgres.Server(t), `{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`), postgres.Server(t).Database(t)
		},
		"restarts": func(t *testing.T) (nuisance, string) {
			s := catalogtest.StartPostgres(t)
			return restarts(t, s), s.Database(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			away, database := between(t)
			config, dir := onPostgres(t, database, away.address), t.TempDir()
			recordsWithout(t, config, dir, away)
		})
	}
	t.Run("kept file", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		recordsWithout(t, "", dir, keptFile(t, dir))
	})
}

// recordsWithout runs a server whose catalog is away for some calls.
func recordsWithout(t *testing.T, config, dir string, away nuisance) {
	t.Helper()
	s := startConfigured(t, io.Discard, config, dir, trial(t, "consent: {mode: opt_out, objection: destroy}"), "--log-level=error")
	s.elsewhere("add", "+33611223344", "--config="+config)
	src := s.src("udp")
	first := inviteSoon(t, src, bursts())
	if err := first.Play(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	away.harm()
	playAndBye(t, first, time.Second)
	second := inviteSoon(t, src, bursts())
	playAndBye(t, second, time.Second)
	playAndBye(t, inviteSoon(t, src, conversation(trialPhase)), shortCall) // a customer who objects for good
	before := s.recorder.Live()
	objected := inviteSoon(t, src, bursts())
	if err := objected.Play(t.Context(), shortCall); err != nil {
		t.Fatal(err)
	}
	s.objectTo(before)
	playAndBye(t, objected, shortCall)
	third := inviteSoon(t, src, bursts())
	if s.metric("greffier_catalog_away") != 1 {
		t.Error("it is not seen that the catalog is away")
	}
	away.heal()
	playAndBye(t, third, 2*time.Second)
	var rows []listedRecording
	count := func(state string) (n int) {
		for _, row := range rows {
			if row.State == state {
				n++
			}
		}
		return n
	}
	eventually(t, "the catalog knows everything", 90*time.Second, func() bool {
		rows = list(t, dir, "--config", config)
		return count("stored")+count("locked") == 3 && count("not_recorded") >= 1 && count("destroyed") == 1 && s.metric("greffier_catalog_debts") == 0
	})
	recorded := slices.DeleteFunc(slices.Clone(inOrder(rows)), func(x listedRecording) bool { return x.State != "stored" && x.State != "locked" })
	for i, call := range []*siprectest.Call{first, second, third} {
		if lost := call.Truth().Length - time.Duration(recorded[i].DurationMS)*time.Millisecond; lost > 20*time.Millisecond {
			t.Errorf("call %d lasts %d ms in its recording, and lasted %s", i+1, recorded[i].DurationMS, call.Truth().Length)
		}
	}
	for _, row := range rows {
		switch {
		case row.EndedAt.IsZero():
			t.Errorf("%s, %s, has no end", row.ID, row.State)
		case row.State == "destroyed":
			s.leavesNothing(row.ID)
		}
	}
	if out, code := cliRun(t, "verify", "--data-dir", dir, "--config", config); code != exitOK {
		t.Errorf("verify: exit %d: %s", code, out)
	}
}

// TestQuotaWithoutCatalog: a call of which it cannot be known whether a quota has a place for it leaves nothing.
func TestQuotaWithoutCatalog(t *testing.T) {
	t.Parallel()
	away := onThisWire(t, postgres.Server(t))
	config, dir := onPostgres(t, postgres.Server(t).Database(t), away.address), t.TempDir()
	s := startConfigured(t, io.Discard, config, dir, trial(t, "quota: {calls: 2, every: week}\nretention: P1M\nquarantine: P7D"), "--log-level=error")
	away.harm()
	playAndBye(t, inviteSoon(t, s.src("udp"), conversation(trialPhase)), shortCall)
	away.heal()
	var rows []listedRecording
	eventually(t, "the catalog knows of the call", 30*time.Second, func() bool {
		rows = list(t, dir, "--config", config)
		return len(rows) == 1 && !rows[0].EndedAt.IsZero()
	})
	if rows[0].State != "not_recorded" || rows[0].why() != "quota_over" {
		t.Errorf("the call is %s by %s", rows[0].State, rows[0].why())
	}
	s.leavesNothing(rows[0].ID)
}

// TestStartWithoutCatalog: a server is killed while its catalog is away, and starts without it. Those who object for good are known, other calls
// are recorded, and when the catalog is back it is told of everything, of what the killed server had to tell too.
func TestStartWithoutCatalog(t *testing.T) {
	t.Parallel()
	away := onThisWire(t, postgres.Server(t))
	config, dir := onPostgres(t, postgres.Server(t).Database(t), away.address), t.TempDir()
	args := []string{"serve", "--config", config, "--data-dir", dir, "--policy", trial(t, "consent: opt_out"), "--sip-listen", "udp://127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--media-ports", "0-0", "--log-level", "error"}
	var spoken []time.Duration
	calls := func(p *process) {
		src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: p.sip})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		playAndBye(t, inviteSoon(t, src, conversation(trialPhase)), shortCall) // a customer who objects for good
		call := inviteSoon(t, src, bursts())
		playAndBye(t, call, time.Second)
		spoken = append(spoken, call.Truth().Length)
	}
	p := spawn(t, args...)
	if out, code := cliRun(t, "objections", "add", "+33611223344", "--data-dir", dir, "--config", config); code != exitOK {
		t.Fatalf("exit %d: %s", code, out)
	}
	src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: p.sip})
	if err != nil {
		t.Fatal(err)
	}
	listed := inviteSoon(t, src, bursts()) // longer than the list's interval
	playAndBye(t, listed, 2*listsInterval)
	spoken = append(spoken, listed.Truth().Length)
	src.Close()
	away.harm()
	calls(p)
	p.kill(t)
	p = spawn(t, args...)
	calls(p)
	away.heal()
	var rows []listedRecording
	eventually(t, "the catalog knows everything", 60*time.Second, func() bool {
		rows = list(t, dir, "--config", config)
		done := 0
		for _, row := range rows {
			if row.State == "locked" || row.State == "stored" || row.State == "not_recorded" && row.Reason == "objected" {
				done++
			}
		}
		return done == 5
	})
	recorded := slices.DeleteFunc(slices.Clone(inOrder(rows)), func(x listedRecording) bool { return x.State == "not_recorded" })
	if len(recorded) != len(spoken) {
		t.Fatalf("%d recordings, want %d: %+v", len(recorded), len(spoken), rows)
	}
	for i, length := range spoken {
		if lost := length - time.Duration(recorded[i].DurationMS)*time.Millisecond; lost > time.Second {
			t.Errorf("call %d lasts %d ms in its recording, and lasted %s", i+1, recorded[i].DurationMS, length)
		}
	}
	if out, code := cliRun(t, "verify", "--data-dir", dir, "--config", config); code != exitOK {
		t.Errorf("verify: exit %d: %s", code, out)
	}
}
