package siprec_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

const testdata = "../testdata/siprec"

// boundaries are the Content-Types under which the dialects send their bodies.
var boundaries = map[string]string{
	"audiocodes.body":            `multipart/mixed;boundary=boundary_ac1d2e`,
	"broadworks-conference.body": `multipart/mixed;boundary=UniqueBroadWorksBoundary`,
	"cube.body":                  `multipart/mixed;boundary=uniqueBoundary`,
	"intrado.body":               `Multipart/Mixed; Boundary="Itro-wXyZ-bdry"`,
	"metaswitch.body":            `multipart/mixed;boundary="metaswitch-boundary "`,
	"netsapiens.body":            `multipart/mixed; boundary=b1`,
	"opensips.body":              `multipart/mixed;boundary=OSS-unique-boundary-42`,
	"oracle.body":                `multipart/mixed; boundary=unique-boundary-1`,
	"teams.body":                 `multipart/mixed;boundary=miarec-boundary`,
	"twilio.body":                `multipart/mixed; boundary="----=_Part_12_345.678"`,
	"avaya-update.xml":           `application/rs-metadata`,
	"ribbon-bye.xml":             `application/rs-metadata+xml`,
}

// TestDialects reads one message of each dialect and compares what was understood, line by line.
func TestDialects(t *testing.T) {
	for name, contentType := range boundaries {
		t.Run(name, func(t *testing.T) {
			got := readRequest(t, contentType, readFile(t, filepath.Join(testdata, name)))
			want := string(readFile(t, filepath.Join(testdata, strings.TrimSuffix(name, filepath.Ext(name))+".want")))
			if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("understood otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readRequest takes a body through everything and writes what came out.
func readRequest(t *testing.T, contentType string, b []byte) string {
	t.Helper()
	body, err := siprec.ParseBody(contentType, b)
	if err != nil {
		t.Fatal(err)
	}
	var w strings.Builder
	if body.SDP != nil {
		offer, err := siprec.ParseOffer(body.SDP)
		if err != nil {
			t.Fatal(err)
		}
		w.WriteString(dumpOffer(offer))
	}
	if body.Metadata != nil {
		d, err := siprec.ParseMetadata(body.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		var m siprec.Metadata
		m.Apply(d, t0)
		w.WriteString(dumpMetadata(d, &m))
	}
	for _, p := range body.Other {
		w.WriteString("other " + p.Type + " " + p.Disposition + "\n")
	}
	return w.String()
}
