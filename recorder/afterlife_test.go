package recorder_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// A stoppedClock stands still until a test moves it.
type stoppedClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *stoppedClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *stoppedClock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// callEnd is when the made calls end: six months later there is no such day. It lies ahead of the real time, by which the catalog goes.
var callEnd = time.Date(2027, 8, 31, 16, 30, 0, 250e6, time.UTC)

// A later is a bench whose clock stands still, with calls that were made and not forked.
type later struct {
	*bench
	clock *stoppedClock
}

// newLater opens one, with a strict fake.
func newLater(t *testing.T) later {
	t.Helper()
	clock := &stoppedClock{at: callEnd}
	fake := storagetest.NewFake(t, storagetest.FakeOptions{Now: clock.now})
	return newLaterOn(t, t.TempDir(), fake, clock)
}

func newLaterOn(t *testing.T, dir string, store storage.Store, clock *stoppedClock) later {
	t.Helper()
	b := newBenchWith(t, benchParts{dir: dir, store: store, policyFile: recordAll, run: true, ports: media.Config{Addr: loopback}, clock: clock.now})
	return later{b, clock}
}

// newEraserOn is newLaterOn with an eraser.
func newEraserOn(t *testing.T, dir string, store storage.Store, clock *stoppedClock) later {
	t.Helper()
	b := newBenchWith(t, benchParts{
		dir: dir, store: store, policyFile: recordAll, run: true, ports: media.Config{Addr: loopback}, clock: clock.now, erases: true,
	})
	return later{b, clock}
}

// erasing runs a test on the strict fake and on a directory, each with its eraser.
func erasing(t *testing.T, test func(t *testing.T, l later)) {
	onBoth(t, func(t *testing.T, l later) {
		l.stop()
		store := l.archive.Store
		test(t, newEraserOn(t, l.dir, store, l.clock))
	})
}

// onBoth runs a test on the strict fake and on a directory.
func onBoth(t *testing.T, test func(t *testing.T, l later)) {
	t.Run("fake", func(t *testing.T) { t.Parallel(); test(t, newLater(t)) })
	t.Run("dir", func(t *testing.T) {
		t.Parallel()
		clock := &stoppedClock{at: callEnd}
		dir := t.TempDir()
		store, err := storage.NewDir(filepath.Join(dir, "store"), storage.DirOptions{Clock: clock.now})
		if err != nil {
			t.Fatal(err)
		}
		test(t, newLaterOn(t, dir, store, clock))
	})
}

// training is a class with a term of half a year, a quarantine of a day and documents that are kept for a year.
func training() policy.Class {
	return policy.Class{
		Name: "training", Purpose: "test", LegalBasis: policy.LegitimateInterests, Kind: policy.Training, Format: policy.WAV, Lock: policy.Governance,
		Retention: policy.Period{Months: 6}, Quarantine: policy.Period{Days: 1}, AnalysisRetention: policy.Period{Years: 1},
		KeepMetadata: policy.DefaultKeepMetadata(), Channels: policy.ByLabel,
	}
}

const twoParties = `<recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>complete</datamode>
<session session_id="hVpd7YQgRW2nD22h7q60JQ=="><sipSessionID>ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2</sipSessionID></session>
<participant participant_id="srfBElmCRp2QB23b7Mpk0w=="><nameID aor="sip:+33611223344@carrier.example"><name>Ada Customer</name></nameID></participant>
<participant participant_id="zSfPoSvdSDCmU3A3TRDxAw=="><nameID aor="sip:1001@corp.example"><name>Bob Agent</name></nameID></participant>
<stream stream_id="UAAMm5GRQKSCMVvLyl4rFw==" session_id="hVpd7YQgRW2nD22h7q60JQ=="><label>1</label></stream>
<stream stream_id="i1Pz3to5hGk8fuXl+PbwCw==" session_id="hVpd7YQgRW2nD22h7q60JQ=="><label>2</label></stream>
<participantstreamassoc participant_id="srfBElmCRp2QB23b7Mpk0w=="><send>UAAMm5GRQKSCMVvLyl4rFw==</send></participantstreamassoc>
<participantstreamassoc participant_id="zSfPoSvdSDCmU3A3TRDxAw=="><send>i1Pz3to5hGk8fuXl+PbwCw==</send></participantstreamassoc>
</recording>`

var made struct {
	sync.Mutex
	n int
}

// call makes a call of ten seconds that ends at callEnd, has it stored, and gives its id.
func (l later) call(class policy.Class, warnings ...string) string {
	l.t.Helper()
	made.Lock()
	made.n++
	id := fmt.Sprintf("01990000-0000-7000-8000-%012d", made.n)
	made.Unlock()
	const length = 10 * time.Second
	err := l.Make(l.t.Context(), recorder.Made{ID: id, Class: class, At: callEnd.Add(-length), Length: length, Metadata: []byte(twoParties), Warnings: warnings})
	if err != nil {
		l.t.Fatal(err)
	}
	l.settle()
	return id
}

// at sets the clock, and waits until everything is done that is to be done then.
func (l later) at(at time.Time) {
	l.t.Helper()
	l.clock.set(at)
	l.settle()
}

func (l later) settle() {
	l.t.Helper()
	if err := l.Settle(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

func (l later) row(id string) catalog.Recording {
	l.t.Helper()
	row, err := l.archive.Catalog.Get(l.t.Context(), id)
	if err != nil {
		l.t.Fatal(err)
	}
	return row
}

func (l later) is(id string, want catalog.State) {
	l.t.Helper()
	if row := l.row(id); row.State != want {
		l.t.Errorf("%s is %s, want %s", id, row.State, want)
	}
}

// objects counts the versions below a prefix.
func (l later) objects(prefix string) int {
	l.t.Helper()
	n := 0
	for _, err := range l.archive.Store.List(l.t.Context(), prefix) {
		if err != nil {
			l.t.Fatal(err)
		}
		n++
	}
	return n
}

// keyIs expects the key to be there, or destroyed.
func (l later) keyIs(id string, want error) {
	l.t.Helper()
	if _, err := l.archive.Keys.Get(l.t.Context(), id); !errors.Is(err, want) {
		l.t.Errorf("the key of %s: %v, want %v", id, err, want)
	}
}

// tells counts the events of a type and an outcome about a recording.
func (l later) tells(id, typ string, outcome audit.Outcome) int {
	l.t.Helper()
	n := 0
	for e, err := range audit.Read(l.archive.AuditDir) {
		if err != nil {
			l.t.Fatal(err)
		}
		if e.Subject == id && e.Type == typ && e.Outcome == outcome {
			n++
		}
	}
	return n
}

// sound reads the plain file of a recording.
func (l later) sound(id string) []byte {
	l.t.Helper()
	p, err := l.archive.Play(l.t.Context(), id, "test", "", "")
	if err != nil {
		l.t.Fatal(err)
	}
	defer p.Close()
	b, err := io.ReadAll(p)
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

// namesNobody expects nothing of the parties in catalog and audit log.
func (l later) namesNobody() {
	l.t.Helper()
	files, err := filepath.Glob(filepath.Join(l.dir, "audit", "*"))
	if err != nil {
		l.t.Fatal(err)
	}
	rows, err := l.archive.Catalog.List(l.t.Context(), catalog.Query{})
	if err != nil {
		l.t.Fatal(err)
	}
	text := fmt.Sprint(rows)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			l.t.Fatal(err)
		}
		text += string(b)
	}
	for _, secret := range []string{"Ada", "Bob", "33611223344", "1001@", "call-0199", "ab30317f1a784dc48ff824d0d3715d86"} {
		if strings.Contains(text, secret) {
			l.t.Errorf("%q is still there", secret)
		}
	}
}

// rebuild makes the catalog again, and expects the same rows as far as the log has what they say.
func (l later) rebuild() {
	l.t.Helper()
	ctx := l.t.Context()
	before, err := l.archive.Catalog.List(ctx, catalog.Query{})
	if err != nil {
		l.t.Fatal(err)
	}
	docs, err := l.archive.Catalog.Analyses(ctx, "")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, r := range before {
		if err := l.archive.Catalog.Delete(ctx, r.ID); err != nil {
			l.t.Fatal(err)
		}
	}
	for _, d := range docs {
		if err := l.archive.Catalog.DeleteAnalysis(ctx, d.ID); err != nil {
			l.t.Fatal(err)
		}
	}
	if rep, err := l.archive.Rebuild(ctx, func(int) {}); err != nil || len(rep.Problems) > 0 {
		l.t.Errorf("rebuild: %+v, %v", rep, err)
	}
	for _, r := range before {
		if got := l.row(r.ID); got.State != r.State || got.Gone != r.Gone || got.Class != r.Class || !got.EndedAt.Equal(r.EndedAt) {
			l.t.Errorf("rebuilt %s %s %+v %v, was %s %s %+v %v", got.State, got.Class, got.Gone, got.EndedAt, r.State, r.Class, r.Gone, r.EndedAt)
		}
	}
	if again, err := l.archive.Catalog.Analyses(ctx, ""); err != nil || len(again) != len(docs) {
		l.t.Errorf("%d documents of %d are rebuilt, %v", len(again), len(docs), err)
	}
}
