package catalog_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/catalog/catalogtest"
)

// TestHeldOrCondemned: of a hold and a condemnation at the same time, by two nodes, one wins, and the other is told. So it is of a hold and of
// what takes the recording's place.
func TestHeldOrCondemned(t *testing.T) { onBoth(t, testHeldOrCondemned) }

func testHeldOrCondemned(t *testing.T, b backend) {
	const rounds = 300
	at := b.fresh(t)
	one, other := open(t, at), open(t, at)
	hold(t, one, "a", nil)
	var held, condemned int
	for i := range rounds {
		id := fmt.Sprint("r", i)
		put(t, one, full(id))
		var holdErr, doomErr error
		var wg sync.WaitGroup
		wg.Go(func() {
			_, holdErr = one.HoldRecording(t.Context(), catalog.Held{Recording: id, Hold: "a", State: catalog.HoldPlacing, Since: start}, false)
		})
		wg.Go(func() {
			doom := catalog.Doom{ID: id, Reason: "expired", At: start}
			if i%2 == 0 {
				doomErr = other.Condemn(t.Context(), doom)
			} else {
				doomErr = other.Supersede(t.Context(), full("n"+id), doom)
			}
		})
		wg.Wait()
		switch {
		case holdErr == nil && errors.Is(doomErr, catalog.ErrHeld):
			held++
		case doomErr == nil && errors.Is(holdErr, catalog.ErrDoomed):
			condemned++
		default:
			t.Fatalf("round %d: hold %v, condemnation %v", i, holdErr, doomErr)
		}
	}
	t.Logf("%d were held, %d condemned", held, condemned)
}

// TestExpectedTogether: the bound of the expected calls holds though several nodes tell of calls at once.
func TestExpectedTogether(t *testing.T) { onBoth(t, testExpectedTogether) }

func testExpectedTogether(t *testing.T, b backend) {
	const left, callers = 5, 20
	at := b.fresh(t)
	handles := []*catalog.Catalog{open(t, at), open(t, at)}
	_, err := handles[0].Writer().Exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO expected (call_hash, class, ended_at, deadline, told) SELECT 'h:' || i, 'orders', 1, 1, 0 FROM n`, catalog.MaxExpected-left))
	if err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int32
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			err := handles[i%2].Expect(t.Context(), expects(fmt.Sprint("h:new", i), "a"))
			switch {
			case err == nil:
				taken.Add(1)
			case !errors.Is(err, catalog.ErrTooManyExpected):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if taken.Load() != left {
		t.Errorf("%d calls were taken, want %d", taken.Load(), left)
	}
}

// TestAnyText: text as it comes over the wire, with bytes that are no UTF-8 and with zeros, can be put, is found, and is no damage.
func TestAnyText(t *testing.T) { onBoth(t, testAnyText) }

func testAnyText(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	bad := "a\x00b\xff'\"\\?$1"
	r := full("01")
	r.CallIDs, r.Participants[1].Name, r.SRC, r.Detail, r.Links, r.Warnings = []string{bad}, bad, bad, bad, []string{bad}, []string{bad, "other", "\"\\<é>"}
	put(t, c, r)
	for _, q := range []catalog.Query{{CallID: bad}, {SRC: bad}, {Conversation: bad}, {Party: "B\xff'\"\\?$"}, {Warning: "other"}, {Warning: "\"\\<é>"}} {
		if n, err := c.Count(t.Context(), q); err != nil || n != 1 {
			t.Errorf("%+v finds %d, %v", q, n, err)
		}
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestOrderOfBytes: ids are in the order of their bytes, whatever the server's language says.
func TestOrderOfBytes(t *testing.T) { onBoth(t, testOrderOfBytes) }

func testOrderOfBytes(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	want := []string{"-", "A", "B", "_", "a", "aB", "ab", "b", "é"}
	for _, id := range []string{"b", "a", "é", "aB", "_", "B", "ab", "A", "-"} {
		put(t, c, catalog.Recording{ID: id, State: catalog.StateStored, StartedAt: start})
	}
	list, err := c.List(t.Context(), catalog.Query{})
	if diff := cmp.Diff(want, ids(list)); err != nil || diff != "" {
		t.Errorf("%v, listed (-want +got):\n%s", err, diff)
	}
	if page, err := c.List(t.Context(), catalog.Query{After: "_"}); err != nil || !cmp.Equal(ids(page), want[4:]) {
		t.Errorf("the page behind _: %v, %v", ids(page), err)
	}
}

// TestDurable: a server that would say that something is committed before it is on its disk does not do so for a catalog.
func TestDurable(t *testing.T) {
	s := postgres.Server(t)
	at := s.Database(t)
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	s.Administer(t, "ALTER DATABASE "+strings.Trim(u.Path, "/")+" SET synchronous_commit = off")
	c := open(t, place{database: at})
	var mode string
	if err := c.Writer().QueryRow("SELECT current_setting('synchronous_commit')").Scan(&mode); err != nil || mode != "on" {
		t.Errorf("synchronous_commit is %s, %v", mode, err)
	}
}

// TestServerRestarts: while the server is away every call says so, whether the catalog was opened before that or meanwhile; when it is back,
// so are they.
func TestServerRestarts(t *testing.T) {
	s := catalogtest.StartPostgres(t)
	at := place{database: s.Database(t)}
	before := open(t, at)
	put(t, before, full("01"))
	s.Stop(t)
	meanwhile := open(t, at)
	for i, c := range []*catalog.Catalog{before, meanwhile} {
		_, getErr := c.Get(t.Context(), "01")
		_, _, settleErr := c.Settle(t.Context(), "q", 1, "1", "01")
		for _, err := range []error{getErr, settleErr, c.Put(t.Context(), full("02")), c.SetState(t.Context(), "01", catalog.StateExpired), c.Check(t.Context())} {
			if !errors.Is(err, catalog.ErrUnavailable) {
				t.Errorf("catalog %d of a server that is away: %v", i, err)
			}
		}
	}
	s.Start(t)
	for _, c := range []*catalog.Catalog{before, meanwhile} {
		if got, err := c.Get(t.Context(), "01"); err != nil || got.State != catalog.StateLocked {
			t.Errorf("what was put: %s, %v", got.State, err)
		}
		put(t, c, full("02"))
	}
}

// TestServerHangs: a server that does not answer is away after a while, whatever the caller's patience.
func TestServerHangs(t *testing.T) {
	s := postgres.Server(t)
	at := s.Database(t)
	c, other := open(t, place{database: at}), open(t, place{database: at})
	put(t, c, full("01"))
	lock, err := other.Writer().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback()
	if _, err := lock.Exec("LOCK TABLE recordings"); err != nil {
		t.Fatal(err)
	}
	c.SetPatience(200 * time.Millisecond)
	_, getErr := c.Get(t.Context(), "01")
	for _, err := range []error{getErr, c.Put(t.Context(), full("01")), c.SetState(t.Context(), "01", catalog.StateExpired)} {
		if !errors.Is(err, catalog.ErrUnavailable) {
			t.Errorf("of a server that does not answer: %v", err)
		}
	}
}

// TestURLs: what a URL does not say of TLS is said for it, but on this machine; what it says holds.
func TestURLs(t *testing.T) {
	for raw, want := range map[string][2]bool{
		"postgres://g@db.example/greffier":                                  {true, true},
		"postgresql://g@192.0.2.1:5433/greffier?connect_timeout=3":          {true, true},
		"postgres://g@127.0.0.1,db.example/greffier":                        {true, true},
		"postgres://g@a.example:1,b.example:2/greffier":                     {true, true},
		"postgres://g@db.example/greffier?sslmode=require":                  {true, false},
		"postgres://g@db.example/greffier?sslmode=disable":                  {false, false},
		"postgres://g@localhost/greffier":                                   {false, false},
		"postgres://g@[::1]:5432/greffier":                                  {false, false},
		"postgres:///greffier?host=/run/postgresql":                         {false, false},
		"postgres:///greffier?host=db.example&user=g":                       {true, true},
		"postgres://g@127.0.0.1/greffier?sslmode=verify-full":               {true, true},
		"postgres://g:p%40%3A%2F@db.example/greffier?application_name=node": {true, true},
	} {
		always, proven, err := catalog.TLSOf(raw)
		if err != nil || always != want[0] || proven != want[1] {
			t.Errorf("%s: TLS always %v, proven %v, %v", raw, always, proven, err)
		}
	}
}

// TestSecretsStaySecret: whatever is wrong with a URL or behind it, its password is in no error.
func TestSecretsStaySecret(t *testing.T) {
	const secret = "hush%21%3A"
	address := postgres.Server(t).Address()
	for _, raw := range []string{
		"postgres://g:" + secret + "@" + address + "/greffier", // wrong
		"postgres://g:" + secret + "@127.0.0.1:1/greffier",
		"postgres://g:" + secret + "@127.0.0.1:port/greffier",
		"postgres://g:" + secret + "@127.0.0.1:99999999/greffier",
		"postgres://g:" + secret + "@%zz/greffier",
		"postgres://g:" + secret + "@[::1/greffier",
		"postgres://g:" + secret + "@h/greffier?sslmode=maybe",
		"postgres://g:" + secret + "@h/greffier?sslrootcert=/nowhere/" + secret,
		"postgres://g@h/greffier?sslmode=maybe&password=" + secret,
		"postgres://g:" + secret + "@h/greffier?target_session_attrs=" + secret,
		"mysql://g:" + secret + "@h/greffier",
		"host=h password=" + secret,
		"host=h password='" + secret,
		secret,
	} {
		c, err := catalog.OpenPostgres(t.Context(), catalog.Postgres{URL: raw})
		if c != nil { // away
			_, err = c.Get(t.Context(), "01")
			c.Close()
		}
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// TestPasswordFile: the password is read for each connection, from a file that nobody else can read.
func TestPasswordFile(t *testing.T) {
	u, err := url.Parse(postgres.Server(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username())
	file := filepath.Join(t.TempDir(), "password")
	for _, x := range []struct {
		text string
		mode os.FileMode
		want string // part of the error; "": none
	}{
		{password + "\n", 0o600, ""}, {password, 0o640, "chmod 600"}, {"\n", 0o600, "empty"}, {"wrong", 0o600, "28P01"},
	} {
		if err := errors.Join(os.WriteFile(file, []byte(x.text), 0o600), os.Chmod(file, x.mode)); err != nil {
			t.Fatal(err)
		}
		c, err := catalog.OpenPostgres(t.Context(), catalog.Postgres{URL: u.String(), PasswordFile: file})
		if c != nil {
			c.Close()
		}
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%q: %v", x.want, err)
		}
	}
	if _, err := catalog.OpenPostgres(t.Context(), catalog.Postgres{URL: u.String(), PasswordFile: file + ".none"}); err == nil || errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("without the file: %v", err)
	}
}

// TestServerProvesItself: a server whose certificate leads to nobody that is trusted is refused, and it is said what to do.
func TestServerProvesItself(t *testing.T) {
	s := postgres.Server(t)
	at := s.Database(t)
	for query, want := range map[string]string{
		"?sslmode=verify-full&sslrootcert=" + url.QueryEscape(s.CAFile()): "",
		"?sslmode=verify-full": "sslrootcert=FILE",
	} {
		c, err := catalog.OpenPostgres(t.Context(), catalog.Postgres{URL: at + query})
		if c != nil {
			c.Close()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", query, err)
		}
	}
}
