package catalog_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/catalog"
)

func ids(rs []catalog.Recording) []string {
	out := []string{}
	for _, r := range rs {
		out = append(out, r.ID)
	}
	return out
}

// fixture puts five calls, an hour apart, the last two at the same instant.
func fixture(t testing.TB, c *catalog.Catalog) []catalog.Recording {
	person := func(aor, name, number string) catalog.Participant {
		return catalog.Participant{AOR: aor, Name: name, Number: number}
	}
	rs := []catalog.Recording{
		{ID: "a", State: catalog.StateLocked, Class: "orders", Rule: "sales", SRC: "edge", CallIDs: []string{"id-1", "shared"},
			Participants: []catalog.Participant{person("sip:+33611223344@carrier.example", "Élodie 100%", "+33611223344"), person("sip:1001@corp.example", "Bob", "1001")}},
		{ID: "b", State: catalog.StateStored, Class: "quality", Rule: "sample", SRC: "edge", CallIDs: []string{"id-2"},
			Participants: []catalog.Participant{person("sip:0033612345678@carrier.example", "", "0033612345678"), person("sip:bob_2@corp.example", "Bobby", "")}},
		{ID: "c", State: catalog.StateLocked, Class: "orders", Rule: "late", SRC: "core", CallIDs: []string{"shared"},
			Participants: []catalog.Participant{person("tel:06-11-22-33-44", "", "0611223344"), person("sip:11001@corp.example", "", "11001")}},
		{ID: "d", State: catalog.StateNotRecorded, Class: "quality", Rule: "sample", SRC: "core", CallIDs: []string{"h:c0ffee"},
			Participants: []catalog.Participant{person("h:b0b1001", "", "h:e1001")}},
		{ID: "e", State: catalog.StateFailed, SRC: "core"},
	}
	rs[0].CallIDs = append(rs[0].CallIDs, "00705D4C5DCAAC41", "A1B2C3D4-0000-1111-2222-333344445555")
	rs[0].Tenant, rs[3].Tenant = "blue", "red"
	rs[0].RecordingSession, rs[2].RecordingSession = "rs1", "rs1"
	rs[0].Warnings, rs[1].Warnings = []string{"label-missing", "no-metadata"}, []string{"label-missing-not"}
	// a shares a link with d, d another with b; e has one that nobody shares.
	for i, links := range []string{"h:k1 h:g1", "h:k2", "", "h:k1 h:k2", "h:k3"} {
		rs[i].Links = strings.Fields(links)
	}
	rs[0].Quality, rs[1].Quality, rs[2].Quality = catalog.Quality{MOS: 4.41}, catalog.Quality{MOS: 3.1, Loss: 0.03}, catalog.Quality{MOS: 2, Loss: 0.1}
	for i := range rs {
		rs[i].StartedAt = start.Add(time.Duration(min(i, 3)) * time.Hour)
		put(t, c, rs[i])
	}
	return rs
}

func TestList(t *testing.T) { onBoth(t, testList) }

func testList(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	fixture(t, c)
	hour := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }
	tests := []struct {
		name  string
		query catalog.Query
		want  []string
	}{
		{"everything, newest first", catalog.Query{}, []string{"d", "e", "c", "b", "a"}},
		{"from", catalog.Query{From: hour(2)}, []string{"d", "e", "c"}},
		{"to leaves its instant out", catalog.Query{To: hour(2)}, []string{"b", "a"}},
		{"from and to", catalog.Query{From: hour(1), To: hour(3)}, []string{"c", "b"}},
		{"part of a name", catalog.Query{Party: "BOB"}, []string{"b", "a"}},
		{"beyond ASCII", catalog.Query{Party: "élodie"}, []string{"a"}},
		{"part of an address", catalog.Query{Party: "@Corp.Example"}, []string{"c", "b", "a"}},
		{"a percent sign", catalog.Query{Party: "0%"}, []string{"a"}},
		{"an underline", catalog.Query{Party: "b_2"}, []string{"b"}},
		{"no party", catalog.Query{Party: "nobody"}, []string{}},
		{"not inside hashes", catalog.Query{Party: "b0b"}, []string{}},
		{"a hashed party", catalog.Query{Party: "h:b0b1001"}, []string{"d"}},
		{"not part of a hash", catalog.Query{Party: "h:b0b"}, []string{}},
		{"international number", catalog.Query{Number: "+33 6 11-22-33-44"}, []string{"a"}},
		{"international prefix", catalog.Query{Number: "+336"}, []string{"b", "a"}},
		{"written with zeros", catalog.Query{Number: "00336"}, []string{"b", "a"}},
		{"national number", catalog.Query{Number: "06 11 22 33 44"}, []string{"c", "a"}},
		{"end of a number", catalog.Query{Number: "1001"}, []string{"c", "a"}},
		{"a hashed number", catalog.Query{Number: "h:e1001"}, []string{"d"}},
		{"call id", catalog.Query{CallID: "shared"}, []string{"c", "a"}},
		{"hashed call id", catalog.Query{CallID: "h:c0ffee"}, []string{"d"}},
		{"part of a call id", catalog.Query{CallID: "id-"}, []string{}},
		{"a UCID in other case", catalog.Query{CallID: "00705d4c5dcaac41"}, []string{"a"}},
		{"a UUID without hyphens", catalog.Query{CallID: "a1b2c3d4000011112222333344445555"}, []string{"a"}},
		{"a UCID as its header field has it", catalog.Query{CallID: "00705D4C5DCAAC41;encoding=hex"}, []string{"a"}},
		{"case counts otherwise", catalog.Query{CallID: "ID-1"}, []string{}},
		{"tenant", catalog.Query{Tenant: "blue"}, []string{"a"}},
		{"warning", catalog.Query{Warning: "label-missing"}, []string{"a"}},
		{"no such warning", catalog.Query{Warning: "label"}, []string{}},
		{"recording session", catalog.Query{RecordingSession: "rs1"}, []string{"c", "a"}},
		{"conversation of a recording", catalog.Query{Conversation: "a"}, []string{"d", "b", "a"}},
		{"from its other end", catalog.Query{Conversation: "b"}, []string{"d", "b", "a"}},
		{"by a link", catalog.Query{Conversation: "h:g1"}, []string{"d", "b", "a"}},
		{"of a recording without links", catalog.Query{Conversation: "c"}, []string{"c"}},
		{"of one alone", catalog.Query{Conversation: "e"}, []string{"e"}},
		{"of nothing", catalog.Query{Conversation: "h:0"}, []string{}},
		{"conversation and state", catalog.Query{Conversation: "a", State: catalog.StateNotRecorded}, []string{"d"}},
		{"worse than", catalog.Query{MOSBelow: 3.5}, []string{"c", "b"}},
		{"worse than, and not equal", catalog.Query{MOSBelow: 3.1}, []string{"c"}},
		{"any loss", catalog.Query{ByLoss: true}, []string{"c", "b"}},
		{"much loss", catalog.Query{ByLoss: true, LossAbove: 0.03}, []string{"c"}},
		{"src", catalog.Query{SRC: "edge"}, []string{"b", "a"}},
		{"class", catalog.Query{Class: "orders"}, []string{"c", "a"}},
		{"rule", catalog.Query{Rule: "sample"}, []string{"d", "b"}},
		{"state", catalog.Query{State: catalog.StateLocked}, []string{"c", "a"}},
		{"all at once", catalog.Query{From: hour(0), To: hour(9), Party: "bob", Number: "+33", CallID: "shared", SRC: "edge", Class: "orders", Rule: "sales", State: catalog.StateLocked}, []string{"a"}},
		{"quotes are text", catalog.Query{Party: "' OR 1=1 --", Class: "';"}, []string{}},
		{"limit", catalog.Query{Limit: 2}, []string{"d", "e"}},
		{"next page", catalog.Query{Limit: 2, After: "e"}, []string{"c", "b"}},
		{"page that splits an instant", catalog.Query{Limit: 2, After: "d"}, []string{"e", "c"}},
		{"last page", catalog.Query{Limit: 2, After: "b"}, []string{"a"}},
		{"past the end", catalog.Query{After: "a"}, []string{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := c.List(t.Context(), test.query)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, ids(got)); diff != "" {
				t.Errorf("recordings differ (-want +got):\n%s", diff)
			}
			if test.query.Limit == 0 && test.query.After == "" {
				if n, err := c.Count(t.Context(), test.query); n != len(test.want) || err != nil {
					t.Errorf("counted %d, %v", n, err)
				}
			}
		})
	}
	if _, err := c.List(t.Context(), catalog.Query{Number: "sales"}); err == nil {
		t.Error("a number without digits was searched")
	}
	if _, err := c.Count(t.Context(), catalog.Query{Number: "+"}); err == nil {
		t.Error("a number without digits was counted")
	}
}

// TestConversationIsBounded: an identifier that an SRC uses for every call does not make everything one conversation.
func TestConversationIsBounded(t *testing.T) { onBoth(t, testConversationIsBounded) }

func testConversationIsBounded(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	put(t, c, catalog.Recording{ID: "7", State: catalog.StateStored, StartedAt: start, Links: []string{"h:all"}})
	const copies = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1010) INSERT INTO "
	others := strings.TrimPrefix(catalog.Columns, "id, ")
	for _, statement := range []string{
		copies + "recordings (id, " + others + ", created_at, updated_at) SELECT 'copy' || i, " + others + ", 0, 0 FROM recordings, n",
		copies + "links (recording_id, position, link) SELECT 'copy' || i, 0, 'h:all' FROM n",
	} {
		if _, err := c.Writer().Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := c.Count(t.Context(), catalog.Query{Conversation: "7"}); n != 1000 || err != nil {
		t.Errorf("%d recordings, %v", n, err)
	}
}

func TestNumberKey(t *testing.T) {
	for in, want := range map[string]string{
		"+33 6.11": "+33611", "0033611": "+33611", "0611": "611", "1001": "1001", "000": "000", "00011": "11", "0": "0", "": "", "+": "", "sales": "", "h:0012": "h:0012", "*97#": "97",
	} {
		if got := catalog.NumberKey(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestRebuild: what is put in another order, into another file, is listed alike.
func TestRebuild(t *testing.T) { onBoth(t, testRebuild) }

func testRebuild(t *testing.T, b backend) {
	first, second := open(t, b.fresh(t)), open(t, b.fresh(t))
	var rs []catalog.Recording
	for i := range 600 { // more than one page of All
		r := full(fmt.Sprintf("%04d", i*7919%600))
		r.StartedAt = start.Add(time.Duration(i%100) * time.Second)
		rs = append(rs, r)
	}
	put(t, first, rs...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(rs), func(i, j int) { rs[i], rs[j] = rs[j], rs[i] })
	put(t, second, rs...)
	list := func(c *catalog.Catalog) (all []catalog.Recording) {
		after := ""
		for {
			page, err := c.List(t.Context(), catalog.Query{Limit: 100, After: after})
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				return all
			}
			all = append(all, page...)
			after = page[len(page)-1].ID
		}
	}
	one, other := list(first), list(second)
	if !reflect.DeepEqual(one, other) || len(one) != len(rs) {
		t.Errorf("%d and %d recordings differ: %s", len(one), len(other), cmp.Diff(ids(one), ids(other)))
	}
	n := 0
	for r, err := range first.All(t.Context()) {
		if err != nil || r.ID != fmt.Sprintf("%04d", n) {
			t.Fatalf("recording %d is %s, %v", n, r.ID, err)
		}
		n++
	}
	if n != len(rs) {
		t.Errorf("All gave %d recordings", n)
	}
}

// TestManyRecordings logs how long queries of 10,000 recordings take.
func TestManyRecordings(t *testing.T) { onBoth(t, testManyRecordings) }

func testManyRecordings(t *testing.T, b backend) {
	const many = 10_000
	c := open(t, b.fresh(t))
	put(t, c, full("template")) // copied by one statement, because putting each durably is not what is looked at
	rest := strings.NewReplacer("id, ", "", "started_at, ", "").Replace(catalog.Columns)
	for _, statement := range []string{
		"INSERT INTO recordings (id, started_at, " + rest + ", created_at, updated_at) SELECT CAST(10000 + i AS TEXT), started_at + i * 60000, " + rest +
			", 0, 0 FROM recordings, n WHERE id = 'template'",
		"INSERT INTO participants (recording_id, position, search, number) SELECT CAST(10000 + i AS TEXT), position, replace(search, 'ålice', 'customer ' || i)," +
			" replace(number, '11223344', CAST(10000000 + i AS TEXT)) FROM participants, n WHERE recording_id = 'template'",
		"INSERT INTO call_ids (recording_id, position, call_id) SELECT CAST(10000 + i AS TEXT), position, 'call-' || i FROM call_ids, n WHERE recording_id = 'template'",
	} {
		if _, err := c.Writer().Exec(fmt.Sprintf("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) ", many) + statement); err != nil {
			t.Fatal(err)
		}
	}
	for name, q := range map[string]catalog.Query{
		"last hundred":  {Limit: 100},
		"one day":       {From: start.AddDate(0, 0, 3), To: start.AddDate(0, 0, 4), Limit: 100},
		"party":         {Party: "customer 9876"},
		"number prefix": {Number: "+33610009876"},
		"number suffix": {Number: "10009876"},
		"call id":       {CallID: "call-42"},
	} {
		begin := time.Now()
		list, err := c.List(t.Context(), q)
		t.Logf("%-14s %4d found in %v", name, len(list), time.Since(begin).Round(time.Microsecond))
		if err != nil || len(list) == 0 {
			t.Errorf("%s: %d found, %v", name, len(list), err)
		}
	}
}
