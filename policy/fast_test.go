package policy_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// TestFastAgrees holds the compiled conditions to what CEL's interpreter says of the same ones, for random conditions and calls.
func TestFastAgrees(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	fast, held := 0, 0
	for range 400 {
		condition := randomTest(r, 3, "")
		p := load(t, "name: a, class: orders, when: '"+condition+"'")
		for range 10 {
			people := make([]who, r.IntN(4))
			for i := range people {
				people[i] = []func(string, ...string) who{caller, callee, named}[r.IntN(3)](pick(r, aors), pick(r, texts))
			}
			f := policy.Facts{SRC: pick(r, texts), Metadata: metadata(people...), Labels: []siprec.Label{"1", "2"}[:r.IntN(3)]}
			f.Headers = map[string]string{pick(r, keys): pick(r, texts)}
			f.Metadata.Extensions = extensions(pick(r, keys), pick(r, texts), pick(r, keys), pick(r, texts))
			now := start.Add(time.Duration(r.IntN(7*24)) * time.Hour)
			quick, slow, hasFast, err := policy.Both(p, f, now)
			if err != nil {
				t.Fatalf("%s: %v", condition, err)
			}
			if hasFast {
				fast++
			}
			if quick != slow {
				t.Errorf("%s: compiled %v, interpreted %v", condition, quick, slow)
			}
			if slow {
				held++
			}
		}
	}
	if fast < 2000 || held < 1000 || held > 3000 {
		t.Errorf("of 4000 evaluations %d were compiled and %d held", fast, held)
	}
}

var (
	aors  = []string{"", "sip:1001@corp.example", "sip:+33611223344@carrier.example", "tel:+49301234", "sip:sales@10.0.0.1"}
	keys  = []string{"X-Queue", "X-Other", "state"}
	maps  = []string{"headers", "ext"}
	texts = []string{"", "1001", "edge", "+33611223344", "corp.example", "inbound", "caller", "sales", "a"}
)

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// randomTest makes a condition; p is the name of the enclosing loop's participant, if any.
func randomTest(r *rand.Rand, depth int, p string) string {
	if depth == 0 {
		return randomLeaf(r, p)
	}
	a, b := randomTest(r, depth-1, p), randomTest(r, depth-1, p)
	switch r.IntN(8) {
	case 0, 1:
		return fmt.Sprintf("(%s && %s)", a, b)
	case 2, 3:
		return fmt.Sprintf("(%s || %s)", a, b)
	case 4:
		return "!(" + a + ")"
	case 5, 6:
		if p == "" {
			loop := pick(r, []string{"p", "src", "caller", "mixed", "hour", "headers"})
			return fmt.Sprintf("participants.%s(%s, %s)", pick(r, []string{"exists", "all", "exists_one"}), loop, randomTest(r, depth-1, loop))
		}
	}
	return randomLeaf(r, p)
}

func randomLeaf(r *rand.Rand, p string) string {
	person := pick(r, []string{"caller", "callee", "caller"})
	if p != "" {
		person = p
	}
	field := pick(r, []string{"aor", "user", "host", "number", "name", "role"})
	text := person + "." + field
	if p != "src" && r.IntN(4) == 0 {
		text = "src"
	} else if r.IntN(5) == 0 {
		text = "direction"
	}
	literal := fmt.Sprintf("%q", pick(r, texts))
	number := "hour"
	if p == "hour" {
		number = "weekday"
	} else if r.IntN(2) == 0 {
		number = pick(r, []string{"minute", "weekday", "streams"})
	}
	in, k := pick(r, maps), pick(r, keys)
	if p == "headers" { // the loop's participant hides the map
		in = "ext"
	}
	switch r.IntN(10) {
	case 8:
		return fmt.Sprintf("%q in %s", k, in)
	case 9:
		between := pick(r, []string{"", " && weekday < 6", " && streams < 2 && minute >= 0"})
		return fmt.Sprintf("%q in %s%s && %s[%q]%s", k, in, between, in, k, pick(r, []string{` == "sales"`, ` != ""`, `.startsWith("1")`, ` in ["1001", "a"]`}))
	case 0:
		return person + ".internal"
	case 1:
		return person + ".known"
	case 2:
		return fmt.Sprintf("%s %s %s", text, pick(r, []string{"==", "!="}), literal)
	case 3:
		return fmt.Sprintf("%s.%s(%s)", text, pick(r, []string{"startsWith", "endsWith", "contains"}), literal)
	case 4:
		return fmt.Sprintf("%s.matches(%q)", text, pick(r, []string{"^[0-9]+$", "^[+]", "e", ""}))
	case 5:
		return fmt.Sprintf("%s in [%s, %q]", text, literal, pick(r, texts))
	case 6:
		return fmt.Sprintf("%s %s %d", number, pick(r, []string{"==", "!=", "<", "<=", ">", ">="}), r.IntN(24))
	}
	return pick(r, []string{"true", "false", "direction == direction", "has(" + person + ".number)"})
}

// TestMissingKeys: a key that nobody has asked for before its value is a doubt, and not an empty text.
func TestMissingKeys(t *testing.T) {
	for condition, doubtful := range map[string]bool{
		`headers["X-Queue"] != "sales"`:                                              true,
		`"X-Queue" in headers || headers["X-Queue"] == ""`:                           true,
		`!("X-Queue" in headers) && headers["X-Queue"] == ""`:                        true,
		`"X-Other" in ext || mixed || ext["X-Queue"] == ""`:                          true,
		`"X-Queue" in headers && headers["X-Queue"] == ""`:                           false,
		`"X-Queue" in headers && ext["X-Queue"] == ""`:                               false,
		`participants.exists(p, "state" in ext && p.number == ext["state"])`:         false,
		`"state" in ext && participants.all(p, p.known && ext["state"] != p.number)`: false,
	} {
		p := load(t, "name: a, class: orders, when: '"+condition+"'")
		if d := p.Decide(policy.Facts{Metadata: inbound}, start); d.Record || (d.Detail != "") != doubtful {
			t.Errorf("%s: %+v", condition, d)
		}
	}
}
