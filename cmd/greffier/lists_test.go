package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// A listing is what a server's calls are decided by, on real files, without the server.
type listing struct {
	*lists
	t     *testing.T
	parts *parts
	files map[string]string // by what they hold: policy, directory
	log   bytes.Buffer
}

// The directories of these tests.
const (
	oneUser  = "users:\n  - {id: bmartin, numbers: [\"1001\"]}\n"
	twoUsers = oneUser + "  - {id: cdurand, numbers: [\"1002\"]}\n"
)

// openLists brings a policy and a directory into force.
func openLists(t *testing.T) *listing {
	t.Helper()
	l := &listing{t: t, files: map[string]string{"policy": trial(t, "consent: opt_out"), "directory": filepath.Join(t.TempDir(), "users.yaml")}}
	l.write("directory", oneUser)
	config := filepath.Join(t.TempDir(), "greffier.yaml")
	text := fmt.Sprintf("data_dir: %s\npolicy: %s\ndirectory: %s\n", t.TempDir(), l.files["policy"], l.files["directory"])
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	if l.parts, err = openParts(t.Context(), c, serves); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.parts.Close() })
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&l.log), zap.InfoLevel)
	l.lists = l.parts.lists(zap.New(core), func(*policy.Policy) {})
	if err := l.open(t.Context(), c, l.parts.policy); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *listing) write(what, text string) {
	l.t.Helper()
	if err := os.WriteFile(l.files[what], []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// digest is that of the one in force.
func (l *listing) digest(what string) string {
	if what == "policy" {
		return l.Policy().Digest()
	}
	return l.Directory().Digest()
}

// looks looks so many times, as the server does second by second.
func (l *listing) looks(n int) {
	for range n {
		l.look(l.t.Context(), false)
	}
}

// events lists the data of the events about a list, as "loaded DIGEST" and "rejected REASON".
func (l *listing) events(what string) (out []string) {
	l.t.Helper()
	for e, err := range audit.Read(l.parts.archive.AuditDir) {
		if err != nil {
			l.t.Fatal(err)
		}
		kind, ours := strings.CutPrefix(e.Type, what+".")
		if !ours {
			continue
		}
		for _, key := range []string{`"reason":"`, `"digest":"`} {
			if _, rest, has := strings.Cut(string(e.Data), key); has {
				value, _, _ := strings.Cut(rest, `"`)
				out = append(out, kind+" "+value)
				break
			}
		}
	}
	return out
}

// logged counts the lines of the log about a list.
func (l *listing) logged(what string) int {
	return strings.Count(l.log.String(), fmt.Sprintf(`"file":%q`, what))
}

// kinds are the two files, each with another content that is good, and one that is not and names somebody.
func (l *listing) kinds() map[string][2]string {
	policy := readFile(l.t, l.files["policy"])
	return map[string][2]string{
		"policy":    {policy + "# reviewed\n", strings.Replace(policy, "purpose: Trial", "purpose: Trial\n    +33611223344: Dupont", 1)},
		"directory": {twoUsers, oneUser + "  - {id: Dupont, numbers: [\"+33611223344\"], nmae: Dupont}\n"},
	}
}

// TestListsAreTakenUp: a changed file is in force at the second look that finds it so, and at once when asked for, and witnessed each time.
func TestListsAreTakenUp(t *testing.T) {
	t.Parallel()
	l := openLists(t)
	for what, texts := range l.kinds() {
		before := readFile(t, l.files[what])
		want := []string{"loaded " + digestOf([]byte(before))}
		l.looks(3)
		l.write(what, texts[0])
		if l.looks(1); l.digest(what) != digestOf([]byte(before)) {
			t.Errorf("%s: taken up at the first look", what)
		}
		if l.looks(1); l.digest(what) != digestOf([]byte(texts[0])) {
			t.Errorf("%s: not in force at the second look", what)
		}
		l.write(what, before)
		if l.Reload(t.Context()); l.digest(what) != digestOf([]byte(before)) {
			t.Errorf("%s: not in force at once", what)
		}
		l.looks(3)
		want = append(want, "loaded "+digestOf([]byte(texts[0])), want[0])
		if got := l.events(what); !slices.Equal(got, want) {
			t.Errorf("%s: witnessed %v, want %v", what, got, want)
		}
		if n := l.logged(what); n != 2 {
			t.Errorf("%s: %d lines in the log, want 2:\n%s", what, n, l.log.String())
		}
	}
}

// TestListsStay: whatever becomes of a file, what it said before stays in force; that it is not good is told once, and names nobody.
func TestListsStay(t *testing.T) {
	t.Parallel()
	gone := func(l *listing, what string) {
		if err := os.Remove(l.files[what]); err != nil {
			l.t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		harm func(l *listing, what, bad string)
		want string // reason of the event; absent: there is none
	}{
		"half written": {func(l *listing, what, bad string) {
			l.write(what, bad[:len(bad)/2])
			l.looks(1)
			l.write(what, bad[:len(bad)/3])
			l.looks(1)
			l.write(what, "")
			l.looks(1)
			l.write(what, bad[:len(bad)/4])
			l.looks(1)
		}, ""},
		"bad": {func(l *listing, what, bad string) {
			l.write(what, bad)
			l.looks(5)
		}, "does_not_load"},
		"vanished": {func(l *listing, what, _ string) {
			gone(l, what)
			l.looks(5)
		}, "unreadable"},
		"unreadable": {func(l *listing, what, _ string) {
			gone(l, what)
			if err := os.Mkdir(l.files[what], 0o700); err != nil {
				l.t.Fatal(err)
			}
			l.looks(5)
			gone(l, what)
			l.looks(5)
		}, "unreadable"},
		"bad at once": {func(l *listing, what, bad string) {
			l.write(what, bad)
			l.Reload(l.t.Context())
			l.looks(5)
		}, "does_not_load"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := openLists(t)
			for what, texts := range l.kinds() {
				before := readFile(t, l.files[what])
				events := l.events(what)
				c.harm(l, what, texts[1])
				if l.digest(what) != digestOf([]byte(before)) {
					t.Errorf("%s: another one is in force", what)
				}
				if c.want != "" {
					events = append(events, "rejected "+c.want)
				}
				if got := l.events(what); !slices.Equal(got, events) {
					t.Errorf("%s: witnessed %v, want %v", what, got, events)
				}
				if n := l.logged(what); n != len(events)-1 {
					t.Errorf("%s: %d lines in the log, want %d:\n%s", what, n, len(events)-1, l.log.String())
				}
				l.write(what, before) // put right: nothing new comes into force
				l.looks(3)
				if got := l.events(what); !slices.Equal(got, events) {
					t.Errorf("%s, put right: witnessed %v, want %v", what, got, events)
				}
				l.write(what, texts[0])
				if l.looks(2); l.digest(what) != digestOf([]byte(texts[0])) {
					t.Errorf("%s: a good one is not taken up any more", what)
				}
			}
			entries := readFile(t, filepath.Join(l.parts.archive.AuditDir, "log.jsonl"))
			for text, in := range map[string]string{"the log": l.log.String(), "the audit log": entries} {
				if strings.Contains(in, "Dupont") || strings.Contains(in, "33611223344") {
					t.Errorf("%s names somebody:\n%s", text, in)
				}
			}
		})
	}
}

// calling is a call of two numbers.
func calling(aors ...string) *siprec.Metadata {
	m := &siprec.Metadata{}
	for i, aor := range aors {
		id := siprec.ParticipantID(fmt.Sprint(i))
		m.Participants = append(m.Participants, siprec.Participant{ID: id, Names: []siprec.NameID{{AOR: aor}}})
		m.Members = append(m.Members, siprec.Member{Participant: id})
	}
	return m
}

// TestObjectionsAreTakenUp: what another process puts on the list, or takes off it, counts from the next look on. When the list cannot be
// read the last one stays in use, which is logged once.
func TestObjectionsAreTakenUp(t *testing.T) {
	t.Parallel()
	l := openLists(t)
	dir := filepath.Dir(l.parts.archive.AuditDir)
	decides := func(want policy.Reason) {
		t.Helper()
		l.Refresh(t.Context())
		f := policy.Facts{CallKey: "call-1", Metadata: calling("sip:+33611223344@carrier.example", "sip:1001@corp.example"), Directory: l.Directory(), Objectors: l.Objectors()}
		if d := l.Policy().Decide(f, f.Began); d.Reason != want {
			t.Errorf("decided by %s, want %s", d.Reason, want)
		}
	}
	other := func(deed string) {
		t.Helper()
		if code := run(t.Context(), []string{"objections", deed, "+33611223344", "--data-dir", dir}, io.Discard, io.Discard); code != exitOK {
			t.Errorf("objections %s: exit %d", deed, code)
		}
	}
	decides(policy.SampledIn)
	other("add")
	decides(policy.Objected)
	other("remove")
	decides(policy.SampledIn)
	other("add")
	decides(policy.Objected)
	before := l.Objectors()
	if decides(policy.Objected); l.Objectors() != before {
		t.Error("a list that has not changed was read again")
	}
	if err := l.parts.archive.Catalog.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		decides(policy.Objected)
	}
	if n := strings.Count(l.log.String(), "the list of objections cannot be read"); n != 1 {
		t.Errorf("%d lines in the log, want 1:\n%s", n, l.log.String())
	}
}
