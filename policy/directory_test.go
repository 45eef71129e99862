package policy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

const staff = `
version: 1
users:
  - id: bmartin
    addresses: [sip:bob@corp.example, "sip:Bob.Martin@CORP.example:5061"]
    numbers: ["1001", "+33 1 40 00 00 01"]
    groups: [sales, paris, sales]
    acknowledged: [NOTICE-2]
  - id: delegate
    numbers: ["4711"]
    protected: true
  - id: newcomer
    addresses: ["sip:1003@elsewhere.example"]
    groups: [support]
`

func directory(t testing.TB, doc string) *policy.Directory {
	t.Helper()
	d, err := policy.ParseDirectory([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// loadDoc reads a whole policy.
func loadDoc(t testing.TB, doc string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(doc), policy.Options{SamplingKey: key, Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestDirectoryFacts: what the directory knows of a participant, rules can ask for, by any of their addresses.
func TestDirectoryFacts(t *testing.T) {
	d := directory(t, staff)
	out := caller("sip:+33611223344@carrier.example")
	tests := []struct {
		callee    who
		condition string
	}{
		{callee("sip:bob@corp.example"), `callee.id == "bmartin" && callee.internal && callee.groups == ["paris", "sales"]`},
		{callee("sip:Bob.Martin@Corp.Example;transport=tls"), `callee.id == "bmartin" && "sales" in callee.groups`},
		{callee("tel:1001"), `callee.id == "bmartin" && direction == "inbound"`},
		{callee("sip:+33140000001@sbc"), `callee.id == "bmartin"`},
		{callee("sip:0140000001@sbc"), `callee.id == "bmartin" && callee.e164 == "+33140000001"`},
		{callee("sip:0033140000001@sbc"), `callee.id == "bmartin"`},
		{callee("sip:BOB@corp.example"), `callee.id == "" && !has(callee.groups) && !("sales" in callee.groups)`}, // the user part is case-sensitive (RFC 3261 19.1.4)
		{callee("sip:1003@elsewhere.example"), `participants.exists(p, "support" in p.groups && p.groups.size() == 1)`},
		{callee("sip:1003@corp.example"), `callee.id == "" && !callee.internal && participants.all(p, p.groups.size() == 0)`},
		{callee("sip:bob@corp.example"), `callee.groups.exists(g, g.startsWith("par")) && has(callee.groups) && callee.domain == "corp.example"`},
	}
	for _, test := range tests {
		p := loadDoc(t, "country: FR\nclasses: {c: {purpose: q, legal_basis: c, mandate: m, retention: P1M, sample: 1}}\nrules:\n  - {name: a, class: c, when: '"+test.condition+"'}\n")
		if dec := p.Decide(policy.Facts{Metadata: metadata(out, test.callee), Directory: d}, start); !dec.Record || dec.Directory != d.Digest() {
			t.Errorf("%s: %+v", test.condition, dec)
		}
		if dec := p.Decide(policy.Facts{Metadata: metadata(out, test.callee)}, start); dec.Directory != "" {
			t.Errorf("a digest without a directory: %+v", dec)
		}
	}
}

// TestR44ProtectedUsers: no rule, not even of a mandated class, records a call with a protected user.
func TestR44ProtectedUsers(t *testing.T) {
	p, d := load(t, "name: all, class: orders, internal: true"), directory(t, staff)
	for _, m := range []*siprec.Metadata{
		metadata(customer, callee("sip:4711@corp.example")), metadata(callee("tel:4711")), metadata(customer, agent, named("sip:4711@x")),
	} {
		if dec := p.Decide(policy.Facts{Metadata: m, Directory: d}, start); dec.Record || dec.Reason != policy.Protected {
			t.Errorf("%+v", dec)
		}
		if dec := p.Decide(policy.Facts{Metadata: m}, start); !dec.Record {
			t.Errorf("without a directory: %+v", dec)
		}
	}
	before := p.Decide(policy.Facts{Metadata: inbound, Directory: d}, start)
	if !before.Record {
		t.Fatalf("%+v", before)
	}
	joined := metadata(customer, agent, named("tel:4711"))
	if after := p.Reconsider(before, policy.Facts{Metadata: joined, Directory: d, Began: start}, start); after.Record || after.Reason != policy.Protected {
		t.Errorf("a protected user joins: %+v", after)
	}
}

// TestR29Acknowledgement: whoever of ours has not acknowledged the notice is not recorded, where the class says so.
func TestR29Acknowledgement(t *testing.T) {
	doc := `
internal: {domains: [corp.example]}
classes: {c: {purpose: q, legal_basis: c, mandate: m, retention: P1M, sample: 1, acknowledgement: %s}}
rules: [{name: a, class: c}]
`
	d := directory(t, staff)
	out := caller("sip:+33611223344@carrier.example")
	for _, test := range []struct {
		notice string
		callee string
		want   policy.Reason
	}{
		{"NOTICE-2", "sip:bob@corp.example", policy.ByRule},
		{"NOTICE-3", "sip:bob@corp.example", policy.NotAcknowledged},
		{"NOTICE-2", "tel:1003", policy.ByRule}, // not one of ours
		{"NOTICE-2", "sip:1003@elsewhere.example", policy.NotAcknowledged},
		{"NOTICE-2", "sip:unknown@corp.example", policy.NotAcknowledged},
	} {
		p := loadDoc(t, fmt.Sprintf(doc, test.notice))
		if dec := p.Decide(policy.Facts{Metadata: metadata(out, callee(test.callee)), Directory: d}, start); dec.Reason != test.want {
			t.Errorf("%s of %s: %+v", test.notice, test.callee, dec)
		}
	}
}

func TestBadDirectories(t *testing.T) {
	for doc, want := range map[string]string{
		"":                                   "is empty",
		"users: x":                           "1:8: users: must be a list",
		"version: 2\nusers: []":              "1:10: version: version 2 is not known",
		"version: 1":                         "users are missing",
		"users: [{id: a}]":                   "1:9: users[0]: has neither addresses nor numbers",
		"users: [{numbers: ['1']}]":          "1:9: users[0].id: is missing",
		"users: [{id: a, numbers: [1001]}]":  "1:27: users[0].numbers[0]: must be a number in quotes",
		"users: [{id: a, numbers: [alice]}]": `"alice" is not a number`,
		"users: [{id: a, addresses: ['sip:corp.example']}]":                     `"sip:corp.example" is not an address`,
		"users: [{id: a, numbers: ['1']}, {id: b, numbers: ['1']}]":             `1:52: users[1].numbers[0]: "1" is user a's already`,
		"users: [{id: a, addresses: ['a@b']}, {id: b, addresses: ['sip:a@B']}]": `"sip:a@B" is user a's already`,
		"users:\n- {id: a, numbers: ['1']}\n- {id: a, numbers: ['2']}":          `3:3: users[1]: user "a" was given before, in line 2`,
		"users: [{id: a, numbers: ['1'], protected: perhaps}]":                  "must be true or false",
		"users: &x [{id: a, numbers: ['1']}]":                                   "anchors and aliases are not allowed in a directory",
		"users: [{id: a, numbers: ['1'], role: boss}]":                          `unknown key "role"`,
		"users: []\n---\nusers: []":                                             "a directory is one document",
	} {
		_, err := policy.ParseDirectory([]byte(doc))
		var e *policy.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "directory does not load") {
			t.Errorf("%q: got %v, want %s", doc, err, want)
		}
	}
}

func TestLoadDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.yaml")
	if _, err := policy.LoadDirectory(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("users: x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := policy.LoadDirectory(path); err == nil || !strings.Contains(err.Error(), path+":1:8: users") {
		t.Errorf("a bad file: %v", err)
	}
	if err := os.WriteFile(path, []byte(staff), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := policy.LoadDirectory(path)
	if err != nil || d.Users() != 3 || len(d.Digest()) != 64 {
		t.Errorf("%d users, %v", d.Users(), err)
	}
	var none *policy.Directory
	if none.Users() != 0 || none.Digest() != "" {
		t.Error("a nil directory knows somebody")
	}
}

// TestNumberFacts: E.164, country and language of numbers, national ones by the policy's country.
func TestNumberFacts(t *testing.T) {
	for _, test := range []struct{ country, aor, want string }{
		{"FR", "sip:0611223344@x", "+33611223344 FR fr"},
		{"FR", "sip:06-11-22-33-44@x", "+33611223344 FR fr"},
		{"FR", "sip:004930123456@x", "+4930123456 DE de"},
		{"FR", "tel:+49-30-123456", "+4930123456 DE de"},
		{"FR", "sip:1001@x", "  "},
		{"FR", "sip:3615@x", "  "},
		{"", "sip:0611223344@x", "  "},
		{"", "sip:+14165550123@x", "+14165550123 CA en"},
		{"", "sip:+12125550123@x", "+12125550123 US en"},
		{"US", "sip:2125550123@x", "+12125550123 US en"},
		{"DE", "sip:03012345678@x", "+493012345678 DE de"},
		{"", "sip:+390612345678@x", "+390612345678 IT it"},
		{"", "sip:+80012345678@x", "+80012345678  "}, // of no country
		{"", "sip:+2101234567@x", "+2101234567  "},   // no calling code
		{"FR", "sip:alice@x", "  "},
		{"FR", "sip:+0123456789@x", "  "},
		{"FR", "sip:" + strings.Repeat("0", 30) + "@x", "  "},
		{"FR", "sip:anonymous@anonymous.invalid", "  "},
	} {
		country := ""
		if test.country != "" {
			country = "country: " + test.country + "\n"
		}
		p := loadDoc(t, country+"classes: {c: {purpose: q, legal_basis: c, mandate: m, retention: P1M, sample: 1}}\nrules:\n"+
			"  - {name: a, class: c, when: 'caller.e164 + \" \" + caller.country + \" \" + caller.language == \""+test.want+"\"'}\n")
		if d := p.Decide(policy.Facts{Metadata: metadata(caller(test.aor))}, start); !d.Record {
			t.Errorf("%s in %q is not %q", test.aor, test.country, test.want)
		}
	}
	if problems, _ := policy.Check([]byte("country: XX\nrules: []")); len(problems) != 1 || !strings.Contains(problems[0].String(), "1:10: country: \"XX\" is not a country") {
		t.Errorf("XX: %v", problems)
	}
}

// TestCallFacts: tenant, trunk, holidays.
func TestCallFacts(t *testing.T) {
	doc := "timezone: Europe/Paris\nholidays: [2026-05-01]\nclasses: {c: {purpose: q, legal_basis: c, mandate: m, retention: P1M, sample: 1}}\nrules:\n  - {name: a, class: c, when: '%s'}\n"
	facts := policy.Facts{Metadata: inbound, Tenant: "acme", Trunk: "paris"}
	mayDay := start.AddDate(0, 1, 28).Add(13 * 3600e9) // 30 April, 23:00 UTC: 1 May in Paris
	for condition, want := range map[string]bool{
		`tenant == "acme" && trunk == "paris"`: true, `trunk in ["lyon"]`: false, `holiday`: true, `!holiday && hour == 1`: false, `holiday && date == "2026-05-01"`: true,
	} {
		if d := loadDoc(t, fmt.Sprintf(doc, condition)).Decide(facts, mayDay); d.Record != want {
			t.Errorf("%s: %+v", condition, d)
		}
	}
}

// TestConditionPlaces: what is wrong with a condition is told by line and column of the document.
func TestConditionPlaces(t *testing.T) {
	doc := `rules:
  - name: a
    record: false
    needs: calee.known
    when: |
      direction == "inbound" &&
      "sales" in callee.groupes
`
	problems, _ := policy.Check([]byte(doc))
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Path))
	}
	if diff := cmp.Diff([]string{"4:12 rules.a.needs", "7:24 rules.a.when"}, got); diff != "" {
		t.Errorf("places differ (-want +got):\n%s\n%v", diff, problems)
	}
}

// FuzzDirectory: whatever a document says, reading it ends; a directory that loads can be asked.
func FuzzDirectory(f *testing.F) {
	f.Add([]byte(staff))
	f.Add([]byte("users: [{id: a, numbers: ['*1#']}]"))
	p, err := policy.Parse([]byte(classes+"rules: [{name: a, class: orders, internal: true}]"), policy.Options{SamplingKey: key, Can: policy.Anything()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := policy.ParseDirectory(b)
		if (err == nil) == (d == nil) {
			t.Fatalf("got %v and %v", d, err)
		}
		if err == nil {
			p.Decide(policy.Facts{Metadata: inbound, Directory: d}, start)
		}
	})
}

// FuzzNumber: no address of record brings a condition about its number down, and what comes out is E.164.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"sip:0611223344@x", "tel:+49-30-123456", "sip:+1@x", "+999999999999999", "00330611223344"} {
		f.Add(s, "FR")
		f.Add(s, "US")
	}
	rules := "classes: {c: {purpose: q, legal_basis: c, mandate: m, retention: P1M, sample: 1}}\n" +
		`rules: [{name: a, class: c, when: 'caller.e164 == "" && caller.country == "" && caller.language == "" || caller.e164.matches("^[+][1-9][0-9]{6,14}$")'}]`
	policies := make(map[string]*policy.Policy)
	for _, country := range []string{"FR", "US", "DE", "IT", "MX", "AR"} {
		policies[country] = loadDoc(f, "country: "+country+"\n"+rules)
	}
	f.Fuzz(func(t *testing.T, aor, country string) {
		p := policies[country]
		if p == nil {
			return
		}
		if d := p.Decide(policy.Facts{Metadata: metadata(caller(aor))}, start); !d.Record {
			t.Errorf("%q: %+v", aor, d)
		}
	})
}
