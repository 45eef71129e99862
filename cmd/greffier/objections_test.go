package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/audit"
)

// objections runs an objections command on the server's data, and expects the exit code. It gives what was printed, errors included.
func (r *running) objections(code int, args ...string) string {
	r.t.Helper()
	var out strings.Builder
	args = append([]string{"objections"}, args...)
	got := run(r.t.Context(), append(args, "--data-dir", r.Config.DataDir), &out, &out)
	if got != code {
		r.t.Errorf("greffier %s: exit %d, want %d: %s", strings.Join(args, " "), got, code, out.String())
	}
	return out.String()
}

// frenchConfig writes a configuration whose policy has national numbers of France.
func frenchConfig(t *testing.T) string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "greffier.yaml")
	if err := os.WriteFile(config, []byte("policy: "+trial(t, "consent: opt_out", "country: FR")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

// TestObjectionsCommands: somebody is put on the list, found and taken off, in whichever form their number is written; the list, the audit
// log and the catalog have no number.
func TestObjectionsCommands(t *testing.T) {
	t.Parallel()
	dir, config := t.TempDir(), frenchConfig(t)
	s := startWith(t, config, dir, "")
	s.objections(exitNotFound, "check", "+33611223344")
	expect(t, s.objections(exitOK, "add", "06 11 22 33 44", "sip:somebody@example.com", "--proof", "DOC-17", "-c", config), "2 added, 0 were on the list before")
	expect(t, s.objections(exitOK, "add", "tel:+33-6-11-22-33-44", "--source", "agreement", "--json"), `"there_before": 1`)
	expect(t, s.objections(exitOK, "check", "+33611223344", "somebody@EXAMPLE.com"), "+33611223344: on the list since ", "(operator), DOC-17", "somebody@EXAMPLE.com: on the list")
	expect(t, s.objections(exitNotFound, "check", "+33611223344", "+33611223345", "--json"), `"entry": null`, `"source": "operator"`)
	var entries []api.ObjectionEntry
	if err := json.Unmarshal([]byte(s.objections(exitOK, "list", "--json")), &entries); err != nil || len(entries) != 2 || entries[0].Proof != "DOC-17" {
		t.Errorf("listed are %+v: %v", entries, err)
	}
	expect(t, s.objections(exitOK, "list"), entries[0].Hash, entries[1].Hash, "DOC-17")
	out := s.objections(exitNotFound, "remove", "+33699999999", "0611223344", "-c", config)
	expect(t, out, "1 taken off, 1 were not on the list", "argument 1: not on the list")
	s.objections(exitNotFound, "check", "+33611223344")
	s.objections(exitOK, "check", "somebody@example.com")
	s.stop()
	seen := map[string]int{}
	for e, err := range audit.Read(filepath.Join(dir, auditDir)) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(e.Actor, "os:") || strings.HasPrefix(e.Actor, "uid:") {
			seen[e.Type]++
		}
	}
	if seen[eventObjectionRecorded] != 2 || seen[eventObjectionWithdrawn] != 1 || seen["access.searched"] != 7 {
		t.Errorf("witnessed was %v", seen)
	}
	s.walk(func(rel string) {
		b, err := os.ReadFile(filepath.Join(dir, rel))
		if err == nil && (strings.Contains(string(b), "611223344") || strings.Contains(string(b), "somebody")) {
			t.Errorf("%s names one of those who object", rel)
		}
	})
}

// TestObjectionsFile: a file is taken whole, or not at all; what is wrong is told with its line, and names nobody.
func TestObjectionsFile(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "")
	file := filepath.Join(t.TempDir(), "objections.txt")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# letters of November\n+33611223344 # DOC-1\n\nnobody at all\n  1002\r\n0655667788\n")
	out := s.objections(exitFailed, "add", "--file", file, "+33600000001")
	expect(t, out, "nothing was done", "line 4: neither a number nor an address", "line 6: a national number", "write it with its +")
	for _, name := range []string{"nobody", "0655667788", "0611223344"} {
		if strings.Contains(out, name) {
			t.Errorf("the errors name %s:\n%s", name, out)
		}
	}
	s.objections(exitNotFound, "check", "+33611223344", "+33600000001")
	write("# letters of November\n+33611223344 # DOC-1\n\n  1002\r\nsips:somebody@example.com;transport=tls\n")
	expect(t, s.objections(exitOK, "add", "--file", file, "+33600000001", "--proof", "letters"), "4 added")
	expect(t, s.objections(exitOK, "add", "--file", file), "0 added, 3 were on the list before")
	s.objections(exitOK, "check", "1002", "+33600000001", "--file", file)
	expect(t, s.objections(exitOK, "remove", "--file", file), "3 taken off")
	for _, bad := range [][]string{{"add"}, {"add", "--file", file + ".none"}, {"add", "1002", "--proof", strings.Repeat("x", 2000)}, {"add", "1002" + strings.Repeat("2", 300)}} {
		s.objections(exitFailed, bad...)
	}
	s.objections(exitUsage, "add", "1002", "--source", "crm")
}
