package srs_test

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// A torture is what the RFC wants as the answer to a message of its own; several statuses where it leaves the choice, 0 for no
// answer at all.
type torture struct {
	want []int
	port uint16 // where answers over UDP go, when that is not 5060: they are not waited for
}

func wants(status ...int) torture { return torture{want: status} }

// rfc4475 is by the names of the files of RFC 4475. We have no registrar and no MESSAGE, and say so with 405; the
// recorder of this test refuses with 488 every INVITE that reaches it.
var rfc4475 = map[string]torture{
	"wsinv":      wants(481), // 3.1.1.1: valid, and within a dialog that we do not have
	"intmeth":    wants(405), // 3.1.1.2
	"esc01":      wants(488), // 3.1.1.3
	"escnull":    wants(405), // 3.1.1.4
	"esc02":      wants(405), // 3.1.1.5: a method of its own, whatever it spells
	"lwsdisp":    wants(200), // 3.1.1.6
	"longreq":    wants(488), // 3.1.1.7
	"dblreq":     wants(405), // 3.1.1.8; over TCP, where both are requests, below
	"semiuri":    wants(200), // 3.1.1.9
	"transports": wants(200), // 3.1.1.10
	"mpart01":    wants(405), // 3.1.1.11
	"unreason":   wants(0),   // 3.1.1.12: answers to nothing that we asked
	"noreason":   wants(0),   // 3.1.1.13

	"badinv01":   wants(488, 400),      // 3.1.2.1: separators too many, which deployed clients send
	"clerr":      wants(400),           // 3.1.2.2; over TCP the rest is waited for
	"ncl":        wants(400),           // 3.1.2.3
	"scalar02":   wants(400),           // 3.1.2.4
	"scalarlg":   wants(0),             // 3.1.2.5
	"quotbal":    {[]int{400}, 5050},   // 3.1.2.6
	"ltgtruri":   wants(400),           // 3.1.2.7
	"lwsruri":    wants(400),           // 3.1.2.8
	"lwsstart":   wants(400),           // 3.1.2.9
	"trws":       wants(400),           // 3.1.2.10
	"escruri":    wants(488, 400),      // 3.1.2.11
	"baddate":    wants(488, 400),      // 3.1.2.12
	"regbadct":   wants(400, 405),      // 3.1.2.13
	"badaspec":   wants(400),           // 3.1.2.14
	"baddn":      wants(400),           // 3.1.2.15
	"badvers":    wants(505),           // 3.1.2.16
	"mismatch01": wants(400),           // 3.1.2.17
	"mismatch02": wants(400, 501),      // 3.1.2.18
	"bigcode":    wants(0),             // 3.1.2.19
	"badbranch":  wants(400),           // 3.2.1
	"insuf":      wants(400),           // 3.3.1
	"unkscm":     wants(416),           // 3.3.2
	"novelsc":    wants(416),           // 3.3.3
	"unksm2":     wants(400, 405),      // 3.3.4
	"bext01":     wants(420),           // 3.3.5
	"invut":      wants(415),           // 3.3.6
	"regaut01":   wants(405),           // 3.3.7
	"multi01":    wants(400),           // 3.3.8
	"mcl01":      wants(400),           // 3.3.9
	"bcast":      wants(0),             // 3.3.10
	"zeromf":     wants(200),           // 3.3.11
	"cparam01":   wants(405),           // 3.3.12
	"cparam02":   wants(405),           // 3.3.13
	"regescrt":   wants(405),           // 3.3.14
	"sdp01":      wants(488, 400, 406), // 3.3.15
	"inv2543":    wants(488, 400),      // 3.4.1: without tags of RFC 3261 there is no dialog to record
	"test":       wants(0, 400),        // of an older draft: no version, and a line that is no field
}

// rfc5118 is by the numbers of the files.
var rfc5118 = map[string]torture{
	"01": wants(405),         // 4.1
	"02": wants(400),         // 4.2: an address without its brackets
	"03": wants(405),         // 4.3
	"04": wants(405),         // 4.4
	"05": wants(481),         // 4.5
	"06": wants(200),         // 4.5
	"07": wants(400),         // 4.6: shorter than it says, as extracted; over TCP the rest is waited for
	"08": {[]int{481}, 6050}, // 4.7
	"09": wants(488),         // 4.8
	"10": {[]int{488}, 6050}, // 4.9
	"11": wants(200, 400),    // 4.10
	"12": wants(200, 400),    // 4.10
}

// TestTorture sends each message of RFC 4475 and RFC 5118, whole and cut off, over both transports: the answer is the RFC's, and
// after it a call is as good as ever.
func TestTorture(t *testing.T) {
	corpus := os.Getenv("GREFFIER_CORPUS")
	if corpus == "" {
		corpus = filepath.Join("..", "..", "..", "shared", "corpus")
		if _, err := os.Stat(corpus); err != nil {
			return // the corpus is not part of the repository
		}
	}
	for _, x := range []struct {
		files string
		name  func(string) string
		table map[string]torture
	}{
		{"torture-rfc4475/*.dat", func(f string) string { return f[:len(f)-len(".dat")] }, rfc4475},
		{"torture-rfc5118/*.sip", func(f string) string { return f[:2] }, rfc5118},
	} {
		files, err := filepath.Glob(filepath.Join(corpus, x.files))
		if err != nil || len(files) < len(x.table) {
			t.Fatalf("%d messages of %s, want %d; %v", len(files), x.files, len(x.table), err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := x.name(filepath.Base(file))
			expected, known := x.table[name]
			if !known {
				t.Errorf("nothing is known of %s", file)
				continue
			}
			t.Run(name, func(t *testing.T) {
				each(t, func(t *testing.T, network string) { tortured(t, network, name, oneLine(b), expected) })
			})
		}
	}
}

func tortured(t *testing.T, network, name string, message []byte, expected torture) {
	anybody := func(c *srs.Config) {
		c.Sources = []srs.Source{{Name: "all", Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	}
	rec := newFake(t)
	rec.begin = func(_ context.Context, in siprec.Invitation) (siprec.Answer, error) {
		if strings.HasPrefix(in.Dialog.CallID, "call-") { // our own
			return answerTo(in.Offer, in.Local), nil
		}
		return siprec.Answer{}, &siprec.Refusal{Kind: siprec.NoMedia, Reason: "this is torture"}
	}
	r := startWith(t, rec, func(s *srs.Server) { s.Hasten(300 * time.Millisecond) }, anybody)
	p := dialFrom5060(t, r.listener(network))
	if _, err := p.conn.Write(message); err != nil {
		t.Fatal(err)
	}
	want := expected.want
	if network == "tcp" && (name == "clerr" || name == "baddn" || name == "07") {
		want = []int{0}
	}
	wait := patience
	if slices.Contains(want, 0) {
		wait = time.Second
	}
	if network == "tcp" && name == "dblreq" { // its second request is one, too
		want = []int{400, 405}
	}
	if expected.port == 0 || network == "tcp" {
		if got := p.finalStatus(wait); !slices.Contains(want, got) {
			t.Errorf("answered with %d, want one of %v", got, want)
		}
	}
	for _, part := range [][]byte{message[:len(message)/2], message[len(message)/3:], bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n"))} {
		if _, err := dialFrom5060(t, r.listener(network)).conn.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	c := r.dial(network).caller()
	c.open(multipartType, both("sendonly"))
	c.bye()
	if n := r.logs.FilterMessageSnippet("panic").Len(); n != 0 {
		t.Errorf("%d panics", n)
	}
}

var folded = regexp.MustCompile(`(?s)<allOneLine>\r?\n(.*?)\r?\n</allOneLine>`)

// oneLine undoes the mark-up of RFC 4475 section 2.1.
func oneLine(b []byte) []byte {
	return folded.ReplaceAllFunc(b, func(m []byte) []byte {
		return bytes.ReplaceAll(bytes.ReplaceAll(folded.FindSubmatch(m)[1], []byte("\r"), nil), []byte("\n"), nil)
	})
}
