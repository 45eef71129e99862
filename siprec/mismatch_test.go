package siprec_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

// described writes a session description with an m-line for each label; "-" has none, and a label with "!" is refused.
func described(labels string) string {
	w := "v=0\r\n"
	for _, l := range strings.Fields(labels) {
		name, gone := strings.CutSuffix(l, "!")
		w += map[bool]string{false: "m=audio 4000 RTP/AVP 0\r\n", true: "m=audio 0 RTP/AVP 0\r\n"}[gone]
		if name != "-" {
			w += "a=label:" + name + "\r\n"
		}
	}
	return w
}

func TestMismatches(t *testing.T) {
	mixed := `<stream stream_id="sm" session_id="cs"><label>1</label><mode>mixed</mode></stream>`
	two := func(more ...string) string {
		return xmlDocument("complete", append([]string{session("cs", ""), person("alice"), person("bob"),
			inSession("alice", "cs", began), inSession("bob", "cs", began)}, more...)...)
	}
	tests := []struct{ name, document, labels, want string }{
		{"all is well", twoParties, "1 2", ""},
		{"no document", "", "1 2", "no-metadata"},
		{"an empty document", xmlDocument("complete"), "1", "no-metadata"},
		{"no document, and odd labels", "", "- 1 1", "no-metadata label-doubled label-missing"},
		{"a stream without m-line", twoParties, "1", "label-not-offered"},
		{"a stream of a refused m-line", twoParties, "1 2!", ""},
		{"an m-line without stream", twoParties, "1 2 3", "label-unclaimed"},
		{"a refused m-line without stream", twoParties, "1 2 3! -!", ""},
		{"other labels altogether", twoParties, "5 6", "label-not-offered label-unclaimed"},
		{"a label twice", twoParties, "1 2 2", "label-doubled"},
		{"an m-line without label", twoParties, "1 2 -", "label-missing"},
		{"two streams in one m-line", two(stream("sa", "1"), stream("sb", "1"), sends("alice", "sa"), sends("bob", "sb")), "1", "label-shared ambiguous-senders"},
		{"two senders of one stream", two(stream("sm", "1"), sends("alice", "sm"), sends("bob", "sm")), "1", "ambiguous-senders"},
		{"two senders of a mixed stream", two(mixed, sends("alice", "sm"), sends("bob", "sm")), "1", ""},
		{"a participant without streams", two(stream("sa", "1"), sends("alice", "sa")), "1", "participant-without-streams"},
		{"streams that nobody claims", two(stream("sa", "1"), stream("sb", "2")), "1 2", "participant-without-streams"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m siprec.Metadata
			if tt.document != "" {
				m.Apply(parseDocument(t, tt.document), t0)
			}
			var got []string
			for _, w := range siprec.Mismatches(&m, mustParse(t, described(tt.labels))) {
				got = append(got, string(w))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := siprec.Mismatches(&siprec.Metadata{}, nil); !slices.Equal(got, []siprec.Warning{siprec.WarnNoMetadata}) {
		t.Errorf("of nothing: %v", got)
	}
}

// TestMatchingHeals: what only comes later is no mismatch, and what was one for a while is.
func TestMatchingHeals(t *testing.T) {
	var m siprec.Metadata
	var all siprec.Matching
	apply := func(seconds int, document string) {
		m.Apply(parseDocument(t, document), at(seconds))
		all.Metadata(&m)
	}
	all.Offer(mustParse(t, described("1 2")))
	all.Metadata(&m)
	apply(0, xmlDocument("complete", session("cs", ""), person("alice"), person("bob"), inSession("alice", "cs", began), inSession("bob", "cs", began)))
	apply(1, xmlDocument("partial", stream("sa", "1"), stream("sb", "2"), stream("sc", "3"), sends("alice", "sa"), sends("bob", "sb")))
	all.Offer(mustParse(t, described("1 2 3")))
	apply(2, xmlDocument("partial", inSession("alice", "cs", ended), inSession("bob", "cs", ended)))
	if got := all.Warnings(); len(got) != 0 {
		t.Errorf("warnings %v", got)
	}
	apply(3, xmlDocument("partial", inSession("alice", "cs", began), inSession("bob", "cs", began), sends("alice", "sa"), sends("bob", "sa")))
	apply(4, xmlDocument("partial", sends("bob")))
	if got := all.Warnings(); !slices.Equal(got, []siprec.Warning{siprec.WarnAmbiguousSenders}) {
		t.Errorf("warnings %v", got)
	}
}

// TestWarningsAreNamed: metrics take their label values from the list.
func TestWarningsAreNamed(t *testing.T) {
	list := siprec.Warnings()
	if len(slices.Compact(slices.Sorted(slices.Values(list)))) != len(list) {
		t.Errorf("a warning is there twice: %v", list)
	}
	for _, file := range []string{"warning.go", "mismatch.go"} {
		for _, line := range strings.Split(string(readFile(t, file)), "\n") {
			name, rest, ok := strings.Cut(line, " Warning = \"")
			if !ok {
				continue
			}
			if value, _, _ := strings.Cut(rest, `"`); !slices.Contains(list, siprec.Warning(value)) {
				t.Errorf("%s is not in the list", strings.TrimSpace(name))
			}
		}
	}
}

// FuzzMismatches: whatever comes, comparing changes nothing, names known warnings once, and finds in one step what it finds in two.
func FuzzMismatches(f *testing.F) {
	for _, labels := range []string{"1 2", "1 1 -", "3! -!", "5"} {
		f.Add([]byte(described(labels)), []byte(twoParties), []byte(xmlDocument("partial", stream("sb", "1"), sends("alice", "sa", "sb"))))
	}
	f.Fuzz(func(t *testing.T, sdp, first, second []byte) {
		offer, err := siprec.ParseOffer(sdp)
		if err != nil {
			offer = nil
		}
		var m siprec.Metadata
		var all siprec.Matching
		all.Offer(offer)
		for i, b := range [][]byte{first, second} {
			if d, err := siprec.ParseMetadata(b); err == nil {
				m.Apply(d, at(10*i))
			}
			all.Metadata(&m)
			now := m
			got := siprec.Mismatches(&m, offer)
			if diff := cmp.Diff(now, m); diff != "" {
				t.Errorf("comparing changed the metadata: %s", diff)
			}
			for j, w := range got {
				if !slices.Contains(siprec.Warnings(), w) || slices.Contains(got[:j], w) {
					t.Errorf("warnings %v", got)
				}
			}
			if i == 0 && !slices.Equal(got, all.Warnings()) {
				t.Errorf("%v, and in one step %v", all.Warnings(), got)
			}
		}
	})
}
