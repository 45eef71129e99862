package siprec_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

// TestCorpusRFC8068Flows follows each flow of RFC 8068 from its beginning, its documents ten seconds apart: who was in which session, and
// who sent what, from when to when.
func TestCorpusRFC8068Flows(t *testing.T) {
	dir := corpus(t)
	if dir == "" {
		return
	}
	names := strings.NewReplacer(
		"srfBElmCRp2QB23b7Mpk0w==", "alice", "zSfPoSvdSDCmU3A3TRDxAw==", "bob", "Atnm1ZRnOC6Pm5MApkrDzQ==", "carol", "EiXGlc+4TruqqoDaNE76ag==", "carol",
		"hVpd7YQgRW2nD22h7q60JQ==", "cs", "bfLZ+NTFEeCNxQTuRyQBmw==", "cs2", "e6370VVGEeWAG6886p18uA==", "cs2")
	flows := []struct{ name, steps, attended, sent string }{
		{"3.2.1 basic call", "01", "alice cs 0-, bob cs 0-", "alice 97 0-, alice 96 0-, bob 98 0-, bob 99 0-"},
		{"3.2.2 hold and resume", "01 02 03",
			"alice cs 0-, bob cs 0-",
			"alice 97 0-10, alice 96 0-10, bob 98 0-, bob 99 0-, alice 97 20-, alice 96 20-"},
		{"3.2.3 transfer inside the session", "01 04",
			"alice cs 0-10, bob cs 0-, carol cs 10-",
			"alice 97 0-10, alice 96 0-10, bob 98 0-, bob 99 0-"},
		{"3.2.3 transfer to a new session", "01 05 06",
			"alice cs 0-10, bob cs 0-10, bob cs2 20-, carol cs2 20-",
			"alice 97 0-10, alice 96 0-10, bob 98 0-10, bob 99 0-10, bob 98 20-, bob 99 20-, carol 96 20-, carol 97 20-"},
		{"3.2.3 the same without a word on the old one", "01 06",
			"alice cs 0-10, bob cs 0-10, bob cs2 10-, carol cs2 10-",
			"alice 97 0-10, alice 96 0-10, bob 98 0-10, bob 99 0-10, bob 98 10-, bob 99 10-, carol 96 10-, carol 97 10-"},
		{"3.2.4 disconnect", "01 07",
			"alice cs 0-10, bob cs 0-10",
			"alice 97 0-10, alice 96 0-10, bob 98 0-10, bob 99 0-10"},
		{"3.3.1 mixed", "08",
			"alice cs 0-, bob cs 0-",
			"alice 96 0-, bob 96 0-"},
		{"3.3.2 hold and resume, mixed", "08 09 10",
			"alice cs 0-, bob cs 0-",
			"alice 96 0-10, bob 96 0-, alice 96 20-"},
		{"3.3.3 join and drop", "08 11 12",
			"alice cs 0-20, bob cs 0-, carol cs 10-",
			"alice 96 0-20, bob 96 0-, carol 96 10-"},
		{"3.4 disconnect with a persistent session, and a new call", "01 13 06",
			"alice cs 0-10, bob cs 0-10, bob cs2 20-, carol cs2 20-",
			"alice 97 0-10, alice 96 0-10, bob 98 0-10, bob 99 0-10, bob 98 20-, bob 99 20-, carol 96 20-, carol 97 20-"},
		{"3.5 two sessions in one stream", "14",
			"alice cs 0-, bob cs 0-, bob cs2 0-, carol cs2 0-",
			"alice 96 0-, bob 96 0-, carol 96 0-"},
		{"3.5 and one of them ends", "14 13",
			"alice cs 0-10, bob cs 0-10, bob cs2 0-, carol cs2 0-",
			"alice 96 0-10, bob 96 0-, carol 96 0-"},
	}
	for _, tt := range flows {
		t.Run(tt.name, func(t *testing.T) {
			var m siprec.Metadata
			for i, file := range strings.Fields(tt.steps) {
				m.Apply(parseDocument(t, string(readFile(t, filepath.Join(dir, "rfc", "rfc8068-"+file+"-metadata.xml")))), at(10*i))
				checkState(t, &m)
			}
			var attended, sent []string
			for _, a := range m.Attendances {
				attended = append(attended, names.Replace(fmt.Sprintf("%s %s %s-%s", a.Participant, a.Session, since(a.From), since(a.To))))
			}
			for _, p := range m.Presences {
				sent = append(sent, names.Replace(fmt.Sprintf("%s %s %s-%s", p.Participant, p.Label, since(p.From), since(p.To))))
			}
			if diff := cmp.Diff(tt.attended, strings.Join(attended, ", ")); diff != "" {
				t.Errorf("attended: %s", diff)
			}
			if diff := cmp.Diff(tt.sent, strings.Join(sent, ", ")); diff != "" {
				t.Errorf("sent: %s", diff)
			}
		})
	}
}
