package siprec_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

// TestRandomDocuments applies documents made of every kind of element, with few identifiers so that they meet: whatever comes
// in whatever order, a document that comes twice changes nothing the second time, and the state makes sense.
func TestRandomDocuments(t *testing.T) {
	const sequences, documents = 500, 6
	for seed := range uint64(sequences) {
		r := rand.New(rand.NewPCG(seed, 1))
		var m siprec.Metadata
		var told []string
		for i := range documents {
			document := randomDocument(r)
			told = append(told, document)
			checkAgainstOther(t, []byte(document))
			d := parseDocument(t, document)
			past := len(m.Presences)
			m.Apply(d, at(10*i))
			if len(m.Presences) < past {
				t.Errorf("presences were forgotten")
			}
			once := m
			m.Apply(d, at(10*i+5))
			if diff := cmp.Diff(once, m); diff != "" {
				t.Errorf("the same document again changes something:\n%s", diff)
			}
			checkState(t, &m)
		}
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(told, "\n"))
		}
	}
}

func randomDocument(r *rand.Rand) string {
	pick := func(prefix string, n int) string { return fmt.Sprint(prefix, r.IntN(n)) }
	when := func() string {
		return []string{"", began, ended, "<disassociate-time/>", began + ended}[r.IntN(5)]
	}
	refs := func() string {
		s := ""
		for range r.IntN(3) {
			s += []string{"<send>" + pick("m", 3) + "</send>", "<recv>" + pick("m", 3) + "</recv>"}[r.IntN(2)]
		}
		return s
	}
	element := func() string {
		switch r.IntN(9) {
		case 0:
			return session(pick("s", 2), []string{"", stop, "<sipSessionID>" + pick("c", 3) + "</sipSessionID>"}[r.IntN(3)])
		case 1:
			return `<participant participant_id="` + pick("p", 3) + `"><nameID aor="` + pick("a", 2) + `"/></participant>`
		case 2:
			return `<participant id="` + pick("p", 3) + `" session="` + pick("s", 2) + `">` + refs() + when() + `</participant>`
		case 3:
			return `<participant id="` + pick("p", 3) + `">` + refs() + when() + `</participant>`
		case 4:
			return inSession(pick("p", 4), pick("s", 2), when())
		case 5:
			return `<participantstreamassoc participant_id="` + pick("p", 4) + `">` + refs() + when() + `</participantstreamassoc>`
		case 6:
			return `<stream stream_id="` + pick("m", 3) + `">` + []string{"", "<label>" + pick("", 2) + "</label>", "<mode>mixed</mode>", ended}[r.IntN(4)] + `</stream>`
		case 7:
			return `<sessionrecordingassoc session_id="` + pick("s", 2) + `">` + when() + `</sessionrecordingassoc>`
		default:
			return `<extensiondata parent="` + pick("s", 2) + `"><x xmlns="urn:x">` + pick("v", 3) + `</x></extensiondata>`
		}
	}
	var elements []string
	for range r.IntN(9) {
		elements = append(elements, element())
	}
	return xmlDocument([]string{"partial", "complete"}[r.IntN(2)], elements...)
}

// TestHostileDocuments: the time to read a document does not grow with the square of its size. The bound is a hundred times
// what a slow machine needs.
func TestHostileDocuments(t *testing.T) {
	fill := func(s string) string { return strings.Repeat(s, siprec.MaxMetadataBytes/len(s)) }
	for _, s := range []string{"<!--", "<!", "<![CDATA[", "<?", "</", "</a", "<a ", "<a b='", "<a b=\"'", "<a b=c", "&", "&#", "<", "<a>", "</a>", "<name>", " ", "<b/>", "\xff"} {
		for _, document := range []string{fill(s), "<recording>" + fill(s)[:siprec.MaxMetadataBytes-30] + "</recording>", "<recording><name a='" + fill(s)[:siprec.MaxMetadataBytes-30]} {
			start := time.Now()
			d, err := siprec.ParseMetadata([]byte(document))
			if err != nil {
				onlyMalformed(t, err)
			} else {
				var m siprec.Metadata
				m.Apply(d, t0)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%d bytes of %q took %v", len(document), s, took)
			}
		}
	}
}
