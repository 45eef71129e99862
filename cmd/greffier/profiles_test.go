package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestProfileMistakes: each gets an error that names the source and says what to do.
func TestProfileMistakes(t *testing.T) {
	for source, want := range map[string]string{
		"codecs: [PCMA, G723]":         "sbc: codecs: this program does not decode G723",
		"codecs: [PCMA/8000]":          "sbc: codecs: \"PCMA/8000\" is no encoding name",
		"codecs: [PCMA, pcma]":         "sbc: codecs: PCMA is there twice",
		"codecs: [telephone-event]":    "always allowed",
		"codecs: [G729]":               "does not decode G729",
		"srtp: always":                 "write allowed, required or forbidden",
		"external_id: [X-Call-ID]":     "field external_id not found",
		"external_ids: X-Call-ID":      "cannot unmarshal",
		"tenant: [blue, red], codecs:": "cannot unmarshal",
	} {
		path := filepath.Join(t.TempDir(), configName)
		if err := os.WriteFile(path, []byte("sip: {sources: [{name: sbc, addresses: [192.0.2.1], "+source+"}]}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errOut strings.Builder
		if code := run(t.Context(), []string{"config", "check", "--config", path}, &out, &errOut); code == exitOK || !strings.Contains(errOut.String(), want) {
			t.Errorf("%s: exit %d: %s, want %q", source, code, errOut.String(), want)
		}
	}
}

// TestKeptHeaders: identifiers are kept without being listed twice.
func TestKeptHeaders(t *testing.T) {
	s := SourceConfig{Headers: []string{"X-Queue", "x-call-id"}, ExternalIDs: []string{"X-Call-ID", "Session-ID"}}
	if got, want := s.keptHeaders(), []string{"X-Queue", "x-call-id", "Session-ID"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if len(s.Headers) != 2 {
		t.Errorf("the configuration was changed: %v", s.Headers)
	}
}
