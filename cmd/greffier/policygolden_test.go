package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greffier/greffier/policy"
)

var updateGolden = flag.Bool("update-golden", false, "write what the policy commands print now as what they should print")

// What the cases of the policy commands are about, as they are written on the command line.
const (
	policyTests   = "testdata/policy/"
	shippedFolder = "../../policy/shipped/"
	inboundCall   = policyTests + "inbound.xml"
	internalCall  = policyTests + "internal.xml"
	staffFile     = policyTests + "users.yaml"
	decidedAt     = "2026-03-02T10:00:00+01:00"
)

// golden compares what a command prints, and its exit code, with a file.
func golden(t *testing.T, name string, want int, args ...string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), args, &out, &errOut)
	text := "$ greffier " + strings.Join(args, " ") + "\n" + out.String() + errOut.String()
	if code != want {
		t.Errorf("exit %d, want %d:\n%s", code, want, text)
	}
	path := filepath.Join(policyTests, name+".golden")
	if *updateGolden {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if before := readFile(t, path); before != text {
		t.Errorf("%s says:\n%s\nand the command prints:\n%s", path, before, text)
	}
}

// TestPolicyCommands holds check, show, explain and test to what they print about every shipped policy.
func TestPolicyCommands(t *testing.T) {
	for _, name := range policy.Examples() {
		t.Run(name, func(t *testing.T) {
			file := shippedFolder + name + ".yaml"
			golden(t, name+"-check", exitOK, "policy", "check", file)
			golden(t, name+"-check-json", exitOK, "policy", "check", "--json", file)
			golden(t, name+"-show", exitOK, "policy", "show", file)
			golden(t, name+"-explain-inbound", exitOK, "policy", "explain", "--policy", file, "--metadata", inboundCall, "--directory", staffFile, "--at", decidedAt)
			golden(t, name+"-explain-internal", exitOK, "policy", "explain", "--policy", file, "--metadata", internalCall, "--at", decidedAt)
			golden(t, name+"-test", exitOK, "policy", "test", "../../testdata/policies/cases/"+name+".yaml")
		})
	}
	training := shippedFolder + "training-qa.yaml"
	explain := []string{"policy", "explain", "--policy", training, "--metadata", inboundCall, "--directory", staffFile, "--at", decidedAt}
	desk := []string{
		"policy", "explain", "--policy", shippedFolder + "mifid.yaml", "--metadata", inboundCall, "--directory", policyTests + "desk.yaml", "--at", decidedAt,
	}
	header := []string{"policy", "explain", "--policy", policyTests + "header.yaml", "--metadata", inboundCall, "--at", decidedAt, "--header"}
	for name, args := range map[string][]string{
		"show-json":        {"policy", "show", "--json", shippedFolder + "default.yaml"},
		"explain-json":     append(explain, "--json"),
		"explain-header":   append(header[:len(header):len(header)], "X-Queue=complaints"),
		"explain-queue":    append(header[:len(header):len(header)], "X-Queue=sales"),
		"explain-mandate":  append(desk, "--objector", "06 11 22 33 44"),
		"explain-objector": append(explain, "--objector", "06 11 22 33 44"),
		"explain-holiday":  append(explain[:len(explain)-1:len(explain)-1], "2026-05-01T10:00:00+02:00"),
		"test-json":        {"policy", "test", "--json", "../../testdata/policies/cases/default.yaml"},
		"example":          {"policy", "example"},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, exitOK, args...) })
	}
}

// TestPolicyCommandsRefuse: what does not load, is not as expected, or cannot be read, is said with its place, and the exit code tells.
func TestPolicyCommandsRefuse(t *testing.T) {
	bad, warned := policyTests+"bad.yaml", policyTests+"warned.yaml"
	explain := []string{"policy", "explain", "--policy", warned, "--metadata"}
	for name, test := range map[string]struct {
		code int
		args []string
	}{
		"bad-check":       {exitFailed, []string{"policy", "check", bad, shippedFolder + "default.yaml"}},
		"bad-check-json":  {exitFailed, []string{"policy", "check", "--json", bad}},
		"bad-explain":     {exitFailed, []string{"policy", "explain", "--policy", bad, "--metadata", inboundCall}},
		"warned-check":    {exitOK, []string{"policy", "check", warned}},
		"warned-strict":   {exitFailed, []string{"policy", "check", "--strict", warned}},
		"failing-test":    {exitFailed, []string{"policy", "test", policyTests + "failing-cases.yaml"}},
		"explain-time":    {exitFailed, append(explain, inboundCall, "--at", "yesterday")},
		"explain-no-file": {exitFailed, append(explain, policyTests+"nowhere.xml")},
		"explain-no-xml":  {exitFailed, append(explain, staffFile)},
		"example-unknown": {exitFailed, []string{"policy", "example", "everything"}},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, test.code, test.args...) })
	}
}
