package catalog_test

import (
	"testing"

	"github.com/greffier/greffier/catalog"
)

func TestMatchNumber(t *testing.T) {
	for _, c := range []struct {
		number, wanted string
		want           bool
	}{
		{"+33140000001", "+33 1 40 00 00 01", true},
		{"+33140000001", "0033140000001", true},
		{"+33140000001", "+331", true},
		{"+33140000001", "0140000001", true},
		{"1001", "1001", true},
		{"1001", "01", true},
		{"1001", "+1001", false},
		{"+33140000001", "+331400000011", false},
		{"+33140000001", "", false},
		{"+33140000001", "x", false},
		{"", "1", false},
		{"h:12", "12", false},
		{"h:12", "h:12", true},
	} {
		if got := catalog.MatchNumber(c.number, c.wanted); got != c.want {
			t.Errorf("MatchNumber(%q, %q) is %v", c.number, c.wanted, got)
		}
	}
}

func TestMatchCallID(t *testing.T) {
	for _, c := range []struct {
		id, wanted string
		want       bool
	}{
		{"abc@sbc", "abc@sbc", true},
		{"abc@sbc", "ABC@sbc", false},
		{"ab30317f1a784dc48ff824d0d3715d86", "AB30317F-1A78-4DC4-8FF8-24D0D3715D86", true},
		{"ab30317f1a784dc48ff824d0d3715d86", "ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2", true},
		{"abc", "", false},
	} {
		if got := catalog.MatchCallID(c.id, c.wanted); got != c.want {
			t.Errorf("MatchCallID(%q, %q) is %v", c.id, c.wanted, got)
		}
	}
}
