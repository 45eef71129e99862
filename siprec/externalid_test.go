package siprec_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

func TestHeaderIDs(t *testing.T) {
	tests := []struct {
		name, header, value string
		listed              []string
		want                string
	}{
		{"a pair", "Session-Id", "AB30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2", nil, "ab30317f1a784dc48ff824d0d3715d86 47755a9de7794ba387653f2099600ef2"},
		{"half a pair", "Session-ID", "ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000", nil, "ab30317f1a784dc48ff824d0d3715d86"},
		{"nothing of a pair", "Session-ID", "00000000000000000000000000000000", nil, ""},
		{"Cisco's words", "Cisco-Guid", "3475321012-0000004369-2456789012-4294967295", nil, "3475321012-0000004369-2456789012-4294967295 cf2530b400001111926fa014ffffffff"},
		{"words too large", "Cisco-Guid", "3475321012-0000004369-2456789012-4294967296", nil, "3475321012-0000004369-2456789012-4294967296"},
		{"Cisco's GUCID", "Cisco-Gucid", "ABCDEF0123456789", nil, "ABCDEF0123456789"},
		{"a UCID", "User-to-User", "00FA0800705D4C5DCAAC41;encoding=hex", nil, "00FA0800705D4C5DCAAC41 00705d4c5dcaac41 00112238841573563457"},
		{"a UCID behind other data", "User-to-User", "00C8023132FA0800705D4C5DCAAC41; encoding=hex ; purpose=isdn-interwork", nil, "00C8023132FA0800705D4C5DCAAC41 00705d4c5dcaac41 00112238841573563457"},
		{"a UCID among values", "User-to-User", `3132;encoding=hex, "04FA0800705D4C5DCAAC41";encoding=hex`, nil, "3132 04FA0800705D4C5DCAAC41 00705d4c5dcaac41 00112238841573563457"},
		{"a piece cut off", "User-to-User", "00FA0800705D4C;encoding=hex", nil, "00FA0800705D4C"},
		{"text", "User-to-User", "04636173652D34373131;encoding=hex", nil, "04636173652D34373131 case-4711"},
		{"text without discriminator", "User-to-User", "636173652D34373131;encoding=hex", nil, "636173652D34373131 case-4711"},
		{"no text", "User-to-User", "00ffff0102;encoding=hex", nil, "00ffff0102"},
		{"not hexadecimal", "User-to-User", "zz11;encoding=hex", nil, "zz11"},
		{"a decimal UCID", "X-UCID", "00112238841573563457", nil, "00112238841573563457 00705d4c5dcaac41"},
		{"a bare UCID", "X-UCID", "00705D4C5DCAAC41", nil, "00705D4C5DCAAC41 00705d4c5dcaac41 00112238841573563457"},
		{"a decimal that is none", "X-UCID", "99999238841573563457", nil, "99999238841573563457"},
		{"20 digits of something else", "X-Ticket", "00112238841573563457", []string{"x-ticket"}, "00112238841573563457"},
		{"a listed field", "X-Call-Id", " 4711 ", []string{"X-Call-ID"}, "4711"},
		{"a field that is not listed", "X-Queue", "sales", []string{"X-Call-ID"}, ""},
		{"Genesys", "X-Genesys-CallUUID", "01A2B3C4D5", nil, "01A2B3C4D5"},
		{"Genesys' attached data", "X-Genesys-Case", "77", []string{"X-Genesys-Case"}, "77"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := siprec.HeaderIDs(map[string]string{tt.header: tt.value, "X-Other": "not one"}, tt.listed)
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := siprec.HeaderIDs(nil, []string{"X-Call-ID"}); len(got) != 0 {
		t.Errorf("of no header: %v", got)
	}
}

// TestCallIDForms: identifiers in the metadata come in all their forms too.
func TestCallIDForms(t *testing.T) {
	var m siprec.Metadata
	m.Apply(parseDocument(t, xmlDocument("complete", session("00FA0800705D4C5DCAAC41", ""),
		`<extensiondata parent="x" xmlns:a="urn:a"><a:ucid>00FA0800AABBCCDD000001;encoding=hex</a:ucid><a:cisco-guid>3475321012-0000004369-2456789012-4294967295</a:cisco-guid></extensiondata>`)), t0)
	want := []string{
		"00FA0800705D4C5DCAAC41", "00705d4c5dcaac41", "00112238841573563457",
		"00FA0800AABBCCDD000001", "00aabbccdd000001", "00170480763707764737",
		"3475321012-0000004369-2456789012-4294967295", "cf2530b400001111926fa014ffffffff",
	}
	if diff := cmp.Diff(want, m.CallIDs()); diff != "" {
		t.Error(diff)
	}
}

func FuzzHeaderIDs(f *testing.F) {
	for _, seed := range []string{
		"00FA0800705D4C5DCAAC41;encoding=hex", `"04636173";encoding=hex, 00C8023132FA0800705D4C5DCAAC41`, "3475321012-0000004369-2456789012-4294967295",
		"a;remote=b", "00112238841573563457", "00705D4C5DCAAC41",
	} {
		f.Add("User-to-User", seed)
		f.Add("X-UCID", seed)
		f.Add("Session-ID", seed)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		got := siprec.HeaderIDs(map[string]string{name: value}, []string{name})
		if len(got) > siprec.MaxHeaderIDs {
			t.Errorf("%d identifiers", len(got))
		}
		for _, id := range got {
			if id == "" || len(id) > siprec.MaxIDBytes || strings.TrimSpace(id) == "" {
				t.Errorf("identifier %q", id)
			}
			again := siprec.HeaderIDs(map[string]string{"X-UCID": id}, nil)
			if !strings.ContainsAny(id, ";\"") && id == strings.TrimSpace(id) && !slices.Contains(again, id) {
				t.Errorf("%q is not found as itself: %q", id, again)
			}
		}
	})
}
