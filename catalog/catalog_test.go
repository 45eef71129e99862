package catalog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/siprec"
)

var start = time.Date(2026, 3, 2, 10, 0, 0, 123e6, time.UTC)

func open(t testing.TB, at place) *catalog.Catalog {
	t.Helper()
	c, err := at.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// full is a recording with everything in it.
func full(id string) catalog.Recording {
	return catalog.Recording{
		ID: id, State: catalog.StateLocked, Class: "orders", Rule: "sales", Reason: "rule", Detail: "because", PolicyDigest: "abcd",
		SRC: "edge", Tenant: "blue", CallKeyHash: "h:99", StartedAt: start, EndedAt: start.Add(90 * time.Second), Duration: 89*time.Second + 980*time.Millisecond,
		Channels: []catalog.Channel{
			{Index: 0, Label: "1", Participants: []catalog.Presence{
				{AOR: "sip:+33611223344@carrier.example", Name: "Ålice", From: start, To: start.Add(time.Minute)},
				{AOR: "sip:+49301234@carrier.example", From: start.Add(time.Minute)},
			}},
			{Index: 1, Label: "2", Mixed: true},
		},
		Participants: []catalog.Participant{
			{AOR: "sip:+33611223344@carrier.example", Name: "Ålice", Number: "+33611223344", Role: "caller"},
			{AOR: "sip:1001@corp.example", Name: "Bob", Number: "1001", Role: "callee"},
		},
		CallIDs: []string{"a84b4c76e66710@sbc", "47755A9DE7794ba3-87653f2099600ef2"},

		Conversation: "h:aa" + id, GroupHash: "h:bb" + id, RecordingSession: "5f0c" + id, Links: []string{"h:aa" + id, "h:bb" + id},

		Audio:    catalog.Object{Key: "rec/orders/1.wav.age", Version: "v1", SHA256: "00ff", PlainSHA256: "11", Size: 1000, PlainSize: 900},
		Sidecar:  catalog.Object{Key: "rec/orders/1.json.age", Version: "v2", SHA256: "22", PlainSHA256: "33", Size: 10, PlainSize: 9},
		LockMode: "GOVERNANCE", LockedUntil: start.AddDate(0, 6, 0), QuarantineUntil: start.AddDate(0, 0, 1), RetainUntil: start.AddDate(0, 6, 0),
		Gaps: catalog.Silences{Count: 2, Total: 620 * time.Millisecond}, Pauses: catalog.Silences{Count: 1, Total: 5 * time.Second},
		EndCause: siprec.EndBye, Warnings: []string{"late patch"},
	}
}

func put(t testing.TB, c *catalog.Catalog, rs ...catalog.Recording) {
	t.Helper()
	for _, r := range rs {
		if err := c.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPutAndGet(t *testing.T) { onBoth(t, testPutAndGet) }

func testPutAndGet(t *testing.T, b backend) {
	at := b.fresh(t)
	c := open(t, at)
	want := full("01")
	want.Quality = catalog.Quality{MOS: 3.87, Loss: 0.012346, LongestGap: 620 * time.Millisecond}
	bare := catalog.Recording{ID: "02", State: catalog.StateNotRecorded, StartedAt: start}
	put(t, c, catalog.Recording{ID: "01", State: catalog.StateRecording, StartedAt: start, CallIDs: []string{"old"}}, want, bare)
	for range 2 { // and once more by another process
		for _, r := range []catalog.Recording{want, bare} {
			got, err := c.Get(t.Context(), r.ID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r, got); diff != "" {
				t.Errorf("recordings differ (-want +got):\n%s", diff)
			}
		}
		c = open(t, at)
	}
	if list, err := c.List(t.Context(), catalog.Query{CallID: "old"}); err != nil || len(list) != 0 {
		t.Errorf("a replaced call id is found: %v, %v", list, err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if b.isPostgres() {
		return
	}
	info, err := os.Stat(at.file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file mode %v, %v", info.Mode(), err)
	}
}

func TestRefusedRecordings(t *testing.T) { onBoth(t, testRefusedRecordings) }

func testRefusedRecordings(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	for _, r := range []catalog.Recording{
		{State: catalog.StateStored, StartedAt: start},
		{ID: "1", State: "done", StartedAt: start},
		{ID: "1", State: catalog.StateStored},
	} {
		if err := c.Put(t.Context(), r); err == nil {
			t.Errorf("%+v was put", r)
		}
	}
}

func TestSetStateAndDelete(t *testing.T) { onBoth(t, testSetStateAndDelete) }

func testSetStateAndDelete(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	want := full("01")
	put(t, c, want, full("02"))
	if err := c.SetState(t.Context(), "01", catalog.StateExpired); err != nil {
		t.Fatal(err)
	}
	want.State = catalog.StateExpired
	got, err := c.Get(t.Context(), "01")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("recordings differ (-want +got):\n%s %v", diff, err)
	}
	if err := c.SetState(t.Context(), "01", "done"); err == nil {
		t.Error("an unknown state was set")
	}
	if err := c.Delete(t.Context(), "01"); err != nil {
		t.Fatal(err)
	}
	_, getErr := c.Get(t.Context(), "01")
	_, listErr := c.List(t.Context(), catalog.Query{After: "01"})
	for _, err := range []error{getErr, listErr, c.SetState(t.Context(), "01", catalog.StateFailed), c.Delete(t.Context(), "01")} {
		if !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("of a recording that is gone: %v", err)
		}
	}
	if n, err := c.Count(t.Context(), catalog.Query{CallID: "a84b4c76e66710@sbc"}); n != 1 || err != nil {
		t.Errorf("%d recordings have the call id, %v", n, err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestJSON(t *testing.T) {
	b, err := json.MarshalIndent([]catalog.Recording{full("01"), {ID: "02", State: catalog.StateNotRecorded, StartedAt: start}}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/recordings.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(b)+"\n"); diff != "" {
		t.Errorf("JSON differs (-want +got):\n%s", diff)
	}
}

// TestTwoProcesses has two catalogs on one file write and read at the same time, from the file's first moment on.
func TestTwoProcesses(t *testing.T) { onBoth(t, testTwoProcesses) }

func testTwoProcesses(t *testing.T, b backend) {
	at := b.fresh(t)
	const each = 40
	var wg sync.WaitGroup
	for process := range 4 {
		wg.Go(func() {
			c, err := at.open()
			if err != nil {
				t.Errorf("process %d: %v", process, err)
				return
			}
			for i := range each {
				r := full(fmt.Sprintf("%d-%02d", process, i))
				if err := errors.Join(c.Put(t.Context(), r), c.SetState(t.Context(), r.ID, catalog.StateExpired)); err != nil {
					t.Errorf("process %d: %v", process, err)
				}
				if _, err := c.List(t.Context(), catalog.Query{Party: "bob", Limit: 10}); err != nil {
					t.Errorf("process %d: %v", process, err)
				}
			}
			if err := c.Close(); err != nil {
				t.Errorf("process %d: %v", process, err)
			}
		})
	}
	wg.Wait()
	c := open(t, at)
	if n, err := c.Count(t.Context(), catalog.Query{State: catalog.StateExpired}); n != 4*each || err != nil {
		t.Errorf("%d recordings, %v", n, err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCheckFindsDamage(t *testing.T) { onBoth(t, testCheckFindsDamage) }

func testCheckFindsDamage(t *testing.T, b backend) {
	damages := map[string]string{
		"search rows differ": "UPDATE participants SET number = '+1' WHERE position = 1",
		"rows are missing":   "DELETE FROM call_ids WHERE position = 1",
		"rows differ":        "UPDATE links SET link = 'h:0' WHERE position = 1",
		"foreign_key_check":  "PRAGMA foreign_keys = 0; INSERT INTO call_ids VALUES ('none', 0, 'x')",
		"recording 01":       "UPDATE recordings SET channels = '['",
		"unknown state":      "UPDATE recordings SET state = 'lost'",
	}
	if b.isPostgres() {
		damages["foreign_key_check"] = "ALTER TABLE call_ids DROP CONSTRAINT call_ids_recording_id_fkey; INSERT INTO call_ids VALUES ('none', 0, 'x')"
	}
	for want, damage := range damages {
		c := open(t, b.fresh(t))
		put(t, c, full("01"))
		if err := c.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Writer().Exec(damage); err != nil {
			t.Fatal(err)
		}
		if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", damage, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "c.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		garbage:                               "not a database",
		filepath.Join(t.TempDir(), "no", "c"): "no such file",
	} {
		refused(t, place{file: path}, want)
	}
}

// TestOpenRefusesNewer: what a newer program has written is not touched by an older one.
func TestOpenRefusesNewer(t *testing.T) { onBoth(t, testOpenRefusesNewer) }

func testOpenRefusesNewer(t *testing.T, b backend) {
	newer := b.fresh(t)
	c := open(t, newer)
	if _, err := c.Writer().Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1 = 1)"); err != nil {
		t.Fatal(err)
	}
	refused(t, newer, "newer program")
}

// refused tells when a place is opened, or is not for another reason.
func refused(t *testing.T, at place, want string) {
	t.Helper()
	c, err := at.open()
	if err == nil {
		c.Close()
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v: %v", at, err)
	}
}
