package siprec_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

func TestCallKey(t *testing.T) {
	a, b, zero := strings.Repeat("a", 32), strings.Repeat("B", 32), strings.Repeat("0", 32)
	sip := func(ids ...string) string {
		s := ""
		for _, id := range ids {
			s += "<sipSessionID>" + id + "</sipSessionID>"
		}
		return session("cs", s)
	}
	pair := a + ";" + strings.ToLower(b)
	tests := []struct{ name, document, want string }{
		{"pair", xmlDocument("complete", sip(a+";remote="+b)), pair},
		{"pair from the other end", xmlDocument("complete", sip(b+";remote="+a)), pair},
		{"pair on two lines", xmlDocument("complete", sip(b+"\n  ;remote="+a)), pair},
		{"other parameters", xmlDocument("complete", sip(b+";logme;Remote="+a)), pair},
		{"remote not known yet", xmlDocument("complete", sip(a+";remote="+zero)), a},
		{"local not known", xmlDocument("complete", sip(zero+";remote="+b)), strings.ToLower(b)},
		{"Call-ID", xmlDocument("complete", sip("aB@Host")), "aB@Host"},
		{"the first one", xmlDocument("complete", sip("one", "two")), "one"},
		{"session id", xmlDocument("complete", session("cs", "")), "cs"},
		{"nothing", xmlDocument("complete"), "fallback"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m siprec.Metadata
			m.Apply(parseDocument(t, tt.document), t0)
			if got := m.CallKey("fallback"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCallKeyStaysAndCallIDsGrow(t *testing.T) {
	var m siprec.Metadata
	for i, id := range []string{"one", "two", "three"} {
		m.Apply(parseDocument(t, xmlDocument("complete", `<group group_id="g"/>`, session("cs", "<sipSessionID>"+id+"</sipSessionID><group-ref>g</group-ref>"))), at(i))
	}
	if got := m.CallKey(""); got != "one" {
		t.Errorf("key %q", got)
	}
	if diff := cmp.Diff([]string{"one", "two", "three", "cs", "g"}, m.CallIDs()); diff != "" {
		t.Error(diff)
	}
}

func TestAddresses(t *testing.T) {
	tests := []struct{ aor, user, host, number string }{
		{"sip:+33123456789@example.com;user=phone", "+33123456789", "example.com", "+33123456789"},
		{"sips:%2B33-1.23@Example.COM:5061", "+33-1.23", "example.com", "+33123"},
		{"tel:+33-1-23-45;phone-context=x", "+33-1-23-45", "", "+3312345"},
		{"TEL:*21#", "*21#", "", "*21#"},
		{"2249888500@192.0.2.5", "2249888500", "192.0.2.5", "2249888500"},
		{"+33 (1) 23", "+33 (1) 23", "", "+33123"},
		{"7301", "7301", "", "7301"},
		{`"Bob" <sip:7301;x=y@[2001:db8::1]:5060;z>;tag=1`, "7301", "2001:db8::1", "7301"},
		{"sip:7301:secret@example.com", "7301", "example.com", "7301"},
		{"sip:alice@example.com", "alice", "example.com", ""},
		{"Extension-016190619@example.com", "Extension-016190619", "example.com", ""},
		{"sip:192.0.2.1", "", "192.0.2.1", ""},
		{"192.0.2.1", "192.0.2.1", "", ""},
		{"sip:1+2@example.com", "1+2", "example.com", ""},
		{"sip:+@example.com", "+", "example.com", ""},
		{"", "", "", ""},
		{"sip:", "", "", ""},
		{"<>", "", "", ""},
		{"sip:%zz@h", "%zz", "h", ""},
	}
	for _, tt := range tests {
		if got := []string{siprec.User(tt.aor), siprec.Host(tt.aor), siprec.Number(tt.aor)}; !cmp.Equal(got, []string{tt.user, tt.host, tt.number}) {
			t.Errorf("%s: got %q, want %q", tt.aor, got, []string{tt.user, tt.host, tt.number})
		}
	}
}

// TestCallers: who called is only said when the document says so.
func TestCallers(t *testing.T) {
	party := func(id, extra string) string {
		return `<participant id="` + id + `"><aor>sip:` + id + `@example.com</aor>` + extra + `</participant>`
	}
	numbers := func(calling, called string) string {
		return `<x xmlns="urn:x"><callingPartyNumber>` + calling + `</callingPartyNumber><calledPartyNumber>` + called + `</calledPartyNumber></x>`
	}
	broadworks := func(side string) string {
		return `<extensiondata><b xmlns="urn:b"><userID>u@example.com</userID><callType><` + side + `/></callType></b></extensiondata>`
	}
	tests := []struct{ name, document, want string }{
		{"nothing said", xmlDocument("complete", party("1", ""), party("2", "")), "1? 2?"},
		{"Oracle", xmlDocument("complete", party("1", "<callingParty>false</callingParty>"), party("2", "<callingParty>true</callingParty>")), "1- 2+"},
		{"Oracle, garbled", xmlDocument("complete", party("1", "<callingParty>maybe</callingParty>"), party("2", "")), "1? 2?"},
		{"role", xmlDocument("complete", party("1", "<role>calling</role>")), "1+"},
		{"both numbers", xmlDocument("complete", party("1", ""), party("2", ""), party("3", ""), numbers("+2", "1")), "1- 2+ 3?"},
		{"one number of two", xmlDocument("complete", party("1", ""), party("2", ""), numbers("2", "9")), "1- 2+"},
		{"called number of two", xmlDocument("complete", party("1", ""), party("2", ""), numbers("9", "2")), "1+ 2-"},
		{"one number of three", xmlDocument("complete", party("1", ""), party("2", ""), party("3", ""), numbers("2", "9")), "1? 2+ 3?"},
		{"neither number", xmlDocument("complete", party("1", ""), party("2", ""), numbers("8", "9")), "1? 2?"},
		{"the same number", xmlDocument("complete", party("1", ""), party("2", ""), numbers("1", "1")), "1? 2?"},
		{"ambiguous number", xmlDocument("complete", `<participant id="x"><aor>1@a</aor></participant>`, party("1", ""), numbers("1", "")), "x? 1?"},
		{"recorded user called", xmlDocument("complete", party("u", ""), party("2", ""), broadworks("origCall")), "u+ 2-"},
		{"recorded user was called", xmlDocument("complete", party("u", ""), party("2", ""), broadworks("termCall")), "u- 2+"},
		{"recorded user in a conference", xmlDocument("complete", party("u", ""), party("2", ""), party("3", ""), broadworks("termCall")), "u- 2? 3?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, p := range parseDocument(t, tt.document).Participants {
				mark := "?"
				if p.Caller != nil {
					mark = map[bool]string{true: "+", false: "-"}[*p.Caller]
				}
				got = append(got, string(p.ID)+mark)
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
