package srs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greffier/greffier/siprec"
)

// TestVendors opens a call with each body that a deployed client sent, and looks whether the answer fits its offer.
func TestVendors(t *testing.T) {
	corpus := os.Getenv("GREFFIER_CORPUS")
	must := corpus != ""
	if !must {
		corpus = filepath.Join("..", "..", "..", "shared", "corpus")
	}
	files, err := filepath.Glob(filepath.Join(corpus, "vendor", "*offer*.body"))
	if err != nil || len(files) == 0 {
		if must {
			t.Fatalf("no bodies in %s: %v", corpus, err)
		}
		return // the corpus is not part of the repository
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			body, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			contentType := "application/sdp"
			if first := bytes.TrimSpace(body); bytes.HasPrefix(first, []byte("--")) {
				line, _, _ := bytes.Cut(first, []byte("\n"))
				contentType = `multipart/mixed; boundary="` + strings.TrimSpace(string(line[2:])) + `"`
			}
			rec := newFake(t)
			r := start(t, rec)
			c := r.dial("udp").caller()
			ok := c.open(contentType, string(body))
			in := take(t, "Begin", rec.begins)
			answer, err := siprec.ParseOffer([]byte(ok.body))
			if err != nil || len(answer.Media) != len(in.Offer.Media) {
				t.Fatalf("answer %q: %v", ok.body, err)
			}
			for i, m := range answer.Media {
				if m.Label != in.Offer.Media[i].Label {
					t.Errorf("label %q, offered %q", m.Label, in.Offer.Media[i].Label)
				}
			}
			if in.Metadata == nil || len(in.Metadata.Participants) == 0 {
				t.Errorf("metadata %+v", in.Metadata)
			}
			c.bye()
		})
	}
}
