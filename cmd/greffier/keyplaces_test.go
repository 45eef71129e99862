package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/storagetest"
)

// inPostgres names the place of keys that are in the database that has the catalog.
const inPostgres = "postgres"

// A place is where a test keeps keys: what it configures is in the data directory's greffier.yaml.
type place struct {
	name  string
	shelf seal.Shelf // nil: in a file of the data directory
}

// keysIn gives a new data directory whose keys lie in that place.
func keysIn(t *testing.T, name string, m *storagetest.MinIO, endpoint string) (string, place) {
	t.Helper()
	dir, p := t.TempDir(), place{name: name}
	text := fmt.Sprintf("keys: {store: %s}\n", name)
	switch name {
	case inPostgres:
		database := postgres.Server(t).Database(t)
		table, err := catalog.OpenPostgresKeyTable(t.Context(), catalog.Postgres{URL: database})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { table.Close() })
		p.shelf = table
		text = "keys: {store: database}\n" + readFile(t, onPostgres(t, database, ""))
	case keysInBucket:
		bucket, cfg := m.NewKeyBucket(t)
		p.shelf = bucket
		if endpoint == "" {
			endpoint = cfg.Endpoint
		}
		text = fmt.Sprintf("keys: {store: bucket, bucket: {endpoint: %q, bucket: %s, ca_file: %s}}\n", endpoint, cfg.Bucket, cfg.CAFile)
	}
	if err := os.WriteFile(filepath.Join(dir, configName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, p
}

// save copies all that lies in a shared place, and gives what puts the copy back.
func (p place) save(t *testing.T, dir string) (restore func()) {
	t.Helper()
	if p.shelf == nil {
		file := filepath.Join(dir, keysFile)
		backup := readFile(t, file)
		return func() {
			t.Helper()
			if err := os.WriteFile(file, []byte(backup), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := func() map[string][]byte {
		t.Helper()
		files := map[string][]byte{}
		for name, err := range p.shelf.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			b, err := p.shelf.Get(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = b
		}
		return files
	}
	backup := all()
	return func() {
		t.Helper()
		for name := range maps.Keys(all()) {
			if err := p.shelf.Remove(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		for name, b := range backup {
			if err := p.shelf.Put(t.Context(), name, nil, b); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// survey opens the parts beside a server, and looks at what lies where keys lie.
func surveyOf(t *testing.T, dir string) seal.Survey {
	t.Helper()
	p := partsOf(t, dir)
	s, err := p.archive.Keys.Survey(t.Context())
	if err := errors.Join(err, p.Close()); err != nil {
		t.Fatal(err)
	}
	return s
}

func partsOf(t *testing.T, dir string) *parts {
	t.Helper()
	c, err := loadConfig("", []string{"--data-dir=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	p, err := openParts(t.Context(), c, reads)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func asRoot(t *testing.T, m *storagetest.MinIO) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", m.Config.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", string(m.Config.SecretKey))
}

// TestKeysInEachPlace records, rotates beside the server, records on; a copy of the place that is put back brings nothing back.
func TestKeysInEachPlace(t *testing.T) {
	m := storagetest.StartMinIO(t)
	asRoot(t, m)
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	text := strings.Replace(readFile(t, recordAll), "quarantine: PT0S", "quarantine: PT30M", 1)
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{keysInDatabase, inPostgres, keysInBucket} {
		t.Run(name, func(t *testing.T) {
			dir, p := keysIn(t, name, m, "")
			s := start(t, dir, policy)
			stored := func(n int) (ids []string) {
				t.Helper()
				converse(t, s.src("udp"), bursts(), 2*time.Second)
				eventually(t, "recording stored", 20*time.Second, func() bool {
					ids = nil
					for _, row := range list(t, dir, "--state", "stored") {
						ids = append(ids, row.ID)
					}
					return len(ids) == n
				})
				return ids
			}
			id := stored(1)[0]
			out, code := cliRun(t, "keys", "rotate", "--data-dir", dir, "--retire", "--json")
			var rotated rotatedKeys
			if err := json.Unmarshal([]byte(out), &rotated); err != nil || code != exitOK || rotated.Rewrapped != 2 || rotated.Failed != 0 || !rotated.Retired {
				t.Fatalf("keys rotate: exit %d: %s %v", code, out, err)
			}
			stored(2)
			if got := keysStatusOf(t, "--data-dir", dir); len(got.KEKs) != 1 || got.KEKs[0].ID != rotated.To || got.KEKs[0].Keys != 3 || got.Waiting != 0 || got.Problem != "" {
				t.Errorf("status %+v", got)
			}
			s.stop()
			restore := p.save(t, dir)
			if out, code := cliRun(t, "recordings", "redact", id, "--data-dir", dir, "--from", "0s", "--to", "1s", "--why", "test"); code != exitOK {
				t.Fatalf("redact: exit %d: %s", code, out)
			}
			gone := func(how string) {
				t.Helper()
				if there := surveyOf(t, dir); there.Keys[id] || !there.Tombstones[id] {
					t.Errorf("%s: key %t, tombstone %t", how, there.Keys[id], there.Tombstones[id])
				}
			}
			gone("before")
			// A directory that was lost with all that it knew of the destruction, beside a copy of the place from before it.
			back := func() {
				t.Helper()
				restore()
				if err := os.RemoveAll(filepath.Join(dir, keysDir)); err != nil {
					t.Fatal(err)
				}
				if there := surveyOf(t, dir); !there.Keys[id] || there.Tombstones[id] {
					t.Fatal("the copy has no key: the test does not test it")
				}
			}
			keys := p.save(t, dir) // with the key of what the redaction has made
			back()
			out, code = cliRun(t, "keys", "replay", "--data-dir", dir, "--json")
			var rep struct{ Destroyed int }
			if err := json.Unmarshal([]byte(out), &rep); err != nil || code != exitOK || rep.Destroyed != 1 {
				t.Errorf("keys replay: exit %d: %s", code, out)
			}
			gone("by the command")
			back()
			s = start(t, dir, policy)
			resp, err := http.Get(s.url() + "/healthz") // is not answered before
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			gone("by a start")
			s.stop()
			keys()
			verifyGood(t, dir)
			if out, code := cliRun(t, "keys", "status", "--data-dir", dir, "-c", otherConfig(t)); code == exitOK {
				t.Errorf("with another configuration: exit %d: %s", code, out)
			}
		})
	}
}

// otherConfig is a configuration that knows of no place for keys.
func otherConfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(path, []byte("log: {level: warn}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMoveKeys changes the place of a server that has recordings.
func TestMoveKeys(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	converse(t, s.src("udp"), bursts(), time.Second)
	rows := settle(t, dir, 1, 20*time.Second)
	s.stop()
	if out, code := cliRun(t, "keys", "move", "--data-dir", dir); code == exitOK {
		t.Errorf("keys move to where they are: %s", out)
	}
	if err := os.WriteFile(filepath.Join(dir, configName), []byte("keys: {store: database}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = start(t, dir, recordAll)
	play(t, dir, rows[0].ID)
	out, code := cliRun(t, "keys", "move", "--data-dir", dir, "--json")
	var moved seal.Moved
	if err := json.Unmarshal([]byte(out), &moved); err != nil || code != exitOK || moved.Keys != 1 {
		t.Fatalf("keys move: exit %d: %s", code, out)
	}
	if left, err := filepath.Glob(filepath.Join(dir, keysDir, "*", "*.age")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	converse(t, s.src("udp"), bursts(), time.Second)
	for _, row := range settle(t, dir, 2, 20*time.Second) {
		play(t, dir, row.ID)
	}
	if got := keysStatusOf(t, "--data-dir", dir); got.Waiting != 0 || got.Problem != "" || got.Store != keysInDatabase {
		t.Errorf("status %+v", got)
	}
	verifyGood(t, dir)
}

// TestKeyBucketIsAway: calls are taken and recorded, also by a server that starts then; nothing is stored whose key is on this machine only;
// a key whose term ends is said to be destroyed when it is, and not before; and when the bucket is back all that is done by itself.
func TestKeyBucketIsAway(t *testing.T) {
	m := storagetest.StartMinIO(t)
	asRoot(t, m)
	away := onTheWire(t, m)
	dir, p := keysIn(t, keysInBucket, m, away.endpoint)
	policy := trial(t, "retention: PT8S")
	s := startLogging(t, discardLog{}, dir, policy)
	s.talk(conversation(trialPhase), trialPhase)
	var first string
	eventually(t, "locked", 15*time.Second, func() bool {
		rows := list(t, dir, "--state", "locked")
		if len(rows) == 1 {
			first = rows[0].ID
		}
		return len(rows) == 1
	})
	away.harm()
	expired := func(id string) (failed, done int) {
		t.Helper()
		for e, err := range audit.Read(filepath.Join(dir, auditDir)) {
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case e.Type != "recording.expired" || e.Subject != id:
			case e.Outcome == audit.Failed:
				failed++
			case e.Outcome == audit.Done:
				done++
			}
		}
		return failed, done
	}
	s.talk(conversation(trialPhase), trialPhase)
	eventually(t, "the term ends, and the key cannot be destroyed", 30*time.Second, func() bool { failed, _ := expired(first); return failed > 0 })
	if _, done := expired(first); done > 0 {
		t.Error("a key is said to be destroyed that is not")
	}
	if sound, err := s.parts.archive.Play(t.Context(), first, "test", "", ""); err == nil {
		sound.Close()
		t.Error("what has expired is heard")
	}
	s.stop()
	s = startLogging(t, discardLog{}, dir, policy)
	s.talk(conversation(trialPhase), trialPhase)
	eventually(t, "the backlog is seen", 20*time.Second, func() bool {
		return s.metric("greffier_spool_recordings") == 2 && s.metric("greffier_store_away") == 1
	})
	for _, state := range []string{"stored", "locked"} {
		if rows := list(t, dir, "--state", state); state == "stored" && len(rows) > 0 {
			t.Errorf("%d recordings are %s", len(rows), state)
		}
	}
	away.heal()
	eventually(t, "the backlog is drained, and what has expired is destroyed", 120*time.Second, func() bool {
		_, done := expired(first)
		return done == 1 && s.metric("greffier_spool_recordings") == 0
	})
	if _, err := p.shelf.Get(t.Context(), keyName(t, p, first, ".age")); err == nil {
		t.Error("the destroyed key is in the bucket")
	}
}

// keyName finds what ends so in the bucket; "none" is none.
func keyName(t *testing.T, p place, id, suffix string) string {
	t.Helper()
	for name, err := range p.shelf.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/"+id+suffix) {
			return name
		}
	}
	return "none"
}
