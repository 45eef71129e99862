package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/greffier/greffier/"

// edges is the import table: a package may import only what stands beside it. A new edge is a change of the design:
// edit the table, and say why in docs/decisions.
var edges = map[string][]string{
	// level 0
	"audit":               {},
	"siprec":              {},
	"media/codec":         {},
	"media/wav":           {},
	"media/flac":          {},
	"media/ogg":           {},
	"storage":             {},
	"storage/seal":        {},
	"storage/spool":       {},
	"internal/testserver": {},
	// level 1
	"siprec/srs":          {"siprec"},
	"siprec/siprectest":   {"siprec"},
	"storage/storagetest": {"storage", "internal/testserver"},
	"policy":              {"siprec"},
	"catalog":             {"siprec"},
	"catalog/catalogtest": {"internal/testserver"},
	"media":               {"media/codec", "media/wav"},
	// level 2
	"recorder": {"siprec", "policy", "media", "media/codec", "media/wav", "media/flac", "media/ogg", "storage", "storage/seal", "storage/spool", "catalog", "audit"},
	"api":      {"siprec", "policy", "catalog", "audit"},
	// level 3: cmd/greffier may import everything
	"cmd/greffier": {"*"},
}

// homes says which packages may import a third-party module, by the longest matching prefix of the import path. A module
// that is not here is not ours to use yet.
var homes = map[string][]string{
	"github.com/emiago/sipgo":             {"siprec/srs", "siprec/siprectest"},
	"github.com/icholy/digest":            {"siprec/siprectest"},
	"github.com/pion/sdp/v3":              {"siprec"},
	"github.com/pion/rtp":                 {"media", "siprec/siprectest"},
	"github.com/pion/rtcp":                {"media", "siprec/siprectest"},
	"github.com/pion/srtp/v3":             {"media", "siprec/siprectest"},
	"github.com/pion/dtls/v3":             {"media", "siprec/siprectest"},
	"github.com/pion/stun/v3":             {"media", "siprec/siprectest"},
	"github.com/pion/logging":             {"media", "siprec/siprectest"},
	"github.com/pion/transport/v5":        {"media", "siprec/siprectest"},
	"golang.org/x/sys":                    {"media", "storage/spool", "audit"},
	"github.com/thesyncim/gopus":          {"media/codec", "media/ogg"},
	"cel.dev/cel-go":                      {"policy"},
	"github.com/nyaruka/phonenumbers":     {"policy"},
	"golang.org/x/text":                   {"policy"},
	"go.yaml.in/yaml/v3":                  {"policy", "cmd/greffier"},
	"github.com/minio/minio-go/v7":        {"storage"},
	"filippo.io/age":                      {"storage/seal"},
	"gocloud.dev":                         {"storage/seal"}, // with the tag cloudkms
	"modernc.org/sqlite":                  {"catalog"},
	"github.com/pressly/goose/v3":         {"catalog"},
	"github.com/jackc/pgx/v5":             {"catalog"},
	"golang.org/x/mod":                    {"audit"},
	"github.com/google/uuid":              {"recorder"},
	"github.com/alecthomas/kong":          {"cmd/greffier"},
	"github.com/prometheus/client_golang": {"cmd/greffier"},
	"github.com/google/go-cmp":            {"storage/storagetest"},
	"go.uber.org/zap":                     {"siprec/srs", "media", "recorder", "api", "cmd/greffier"},
}

// A listed is what `go list -json` tells of a package.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

func goList(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Standard,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		all = append(all, p)
	}
}

// TestImportTable fails on every import that the two tables do not allow.
func TestImportTable(t *testing.T) {
	for _, p := range goList(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, known := edges[name]
		if !known {
			t.Errorf("package %s is not in the import table", name)
			continue
		}
		for _, imp := range p.Imports {
			if ours, ok := strings.CutPrefix(imp, module); ok {
				if !slices.Contains(allowed, ours) && !slices.Contains(allowed, "*") {
					t.Errorf("%s imports %s, which the import table does not allow", name, ours)
				}
				continue
			}
			if !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
				continue // standard library
			}
			home, ok := homeOf(imp)
			if !ok {
				t.Errorf("%s imports %s, which has no home in the table", name, imp)
			} else if !slices.Contains(home, name) {
				t.Errorf("%s imports %s, whose home is %v", name, imp, home)
			}
		}
	}
}

func homeOf(imp string) ([]string, bool) {
	best, found := "", false
	for prefix := range homes {
		if (imp == prefix || strings.HasPrefix(imp, prefix+"/")) && len(prefix) >= len(best) {
			best, found = prefix, true
		}
	}
	return homes[best], found
}
