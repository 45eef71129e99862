package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// TestConversationOfTwoServers: an SRC whose server goes away calls another one, with the same session in its metadata. The servers have
// a data directory each and one store; secrets were copied once, as docs/formats.md tells. With the first one's keys the second finds both
// halves as one conversation, and another call apart.
func TestConversationOfTwoServers(t *testing.T) {
	first, second, store := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second"), t.TempDir()
	for _, dir := range []string{first, second} {
		err := os.MkdirAll(dir, 0o700)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, configName), []byte("store: {dir: "+store+"}\n"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	a := start(t, first, recordAll)
	if err := os.CopyFS(filepath.Join(second, secretsDir), os.DirFS(filepath.Join(first, secretsDir))); err != nil {
		t.Fatal(err)
	}
	if err := chmodTree(second); err != nil {
		t.Fatal(err)
	}
	b := start(t, second, recordAll)

	spec := bursts()
	call, err := a.src("udp").Invite(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	a.stop() // it goes away in the middle
	again := bursts()
	again.Metadata = spec.Metadata
	converse(t, b.src("tcp"), again, time.Second)
	converse(t, b.src("udp"), bursts(), time.Second)
	settle(t, second, 2, 20*time.Second)
	b.stop()
	settle(t, first, 1, 20*time.Second)

	if err := filepath.WalkDir(filepath.Join(first, keysDir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		to := filepath.Join(second, strings.TrimPrefix(path, first))
		key, err := os.ReadFile(path)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o700)
		}
		if err != nil {
			return err
		}
		return os.WriteFile(to, key, 0o600)
	}); err != nil {
		t.Fatal(err)
	}
	if out, code := cliRun(t, "catalog", "rebuild", "--data-dir", second); code != exitOK {
		t.Fatalf("rebuild: exit %d: %s", code, out)
	}
	all := list(t, second)
	halves := list(t, second, "--call-id", halfOf(spec.Metadata.SIPSessionIDs[0]))
	if len(all) != 3 || len(halves) != 2 || halves[0].EndCause != "bye" || halves[1].EndCause != "drained" {
		t.Fatalf("%d recordings, halves %+v", len(all), halves)
	}
	for _, h := range halves {
		if got := list(t, second, "--conversation", h.ID); len(got) != 2 {
			t.Errorf("conversation of %s: %d recordings, want 2", h.ID, len(got))
		}
		shown := show(t, second, h.ID)
		if got := list(t, second, "--conversation", shown.Catalog.Conversation); len(got) != 2 || shown.Catalog.Conversation == "" {
			t.Errorf("conversation %q: %d recordings", shown.Catalog.Conversation, len(got))
		}
		if len(shown.Conversation) != 1 || shown.Conversation[0].StartedAt.IsZero() || shown.Conversation[0].ID == h.ID {
			t.Errorf("%s belongs with %+v", h.ID, shown.Conversation)
		}
	}
	table, _ := cliRun(t, "recordings", "list", "--data-dir", second)
	if mark := strings.TrimPrefix(show(t, second, halves[0].ID).Catalog.Conversation, "h:")[:conversationDigits]; strings.Count(table, mark) != 2 {
		t.Errorf("the halves are not marked with %s:\n%s", mark, table)
	}
}

func halfOf(pair string) string {
	half, _, _ := strings.Cut(pair, ";")
	return half
}

// TestListByConversation: the rows of one conversation follow one another, and every row is there once.
func TestListByConversation(t *testing.T) {
	var rows []catalog.Recording
	for _, id := range []string{"a1", "b1", "-1", "a2", "-2", "c1", "b2", "a3"} {
		r := catalog.Recording{ID: id}
		if id[0] != '-' {
			r.Conversation = "h:" + id[:1]
		}
		rows = append(rows, r)
	}
	var got []string
	for _, r := range byConversation(rows) {
		got = append(got, r.ID)
	}
	if want := "a1 a2 a3 b1 b2 -1 -2 c1"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	if shared := sharedConversations(rows); len(shared) != 2 || shared["h:a"] != "a" || shared["h:b"] != "b" {
		t.Errorf("shared: %v", shared)
	}
}

// A shownRecording is what `recordings show` prints, as far as it is looked at here.
type shownRecording struct {
	Catalog struct {
		Conversation string   `json:"conversation"`
		Tenant       string   `json:"tenant"`
		CallIDs      []string `json:"call_ids"`
		Warnings     []string `json:"warnings"`
	} `json:"catalog"`
	Sidecar struct {
		CommunicationSessions []struct {
			ID            string   `json:"id"`
			Group         string   `json:"group"`
			SIPSessionIDs []string `json:"sip_session_ids"`
		} `json:"communication_sessions"`
		Participants []struct {
			Sessions []struct {
				Session string `json:"session"`
				ToMS    int64  `json:"to_ms"`
			} `json:"sessions"`
		} `json:"participants"`
		Session struct {
			Tenant string `json:"tenant"`
		} `json:"session"`
		Audio struct {
			Encoding string `json:"encoding"`
		} `json:"audio"`
	} `json:"sidecar"`
	Conversation []relative `json:"conversation"`
}

func show(t *testing.T, dataDir, id string) (s shownRecording) {
	t.Helper()
	out, code := cliRun(t, "recordings", "show", id, "--data-dir", dataDir)
	if code != exitOK {
		t.Fatalf("recordings show: exit %d: %s", code, out)
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestProfileOfASource: tenant, identifiers in headers, demands on the media, and warnings of metadata that do not fit, from configuration
// to search.
func TestProfileOfASource(t *testing.T) {
	dir := t.TempDir()
	config := "sip:\n  sources: [{name: sbc, addresses: [127.0.0.1], tenant: blue, headers: [User-to-User], external_ids: [X-Call-ID], codecs: [PCMA], srtp: forbidden}]\n"
	if err := os.WriteFile(filepath.Join(dir, configName), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, recordAll)
	spec := bursts()
	spec.Headers = []siprectest.Header{{Name: "X-Call-ID", Value: "case-4711"}, {Name: "User-to-User", Value: "00FA0800705D4C5DCAAC41;encoding=hex"}}
	spec.Metadata.Group = "Z3JvdXAgZ3JvdXAgZ3JvdXA="
	for i := range spec.Streams {
		spec.Streams[i].Formats = []siprec.Format{siprectest.PCMU, siprectest.PCMA}
	}
	spec.Metadata.Participants = append(spec.Metadata.Participants, siprectest.Participant{AOR: "sip:listener@corp.example", Name: "Listener"})
	converse(t, s.src("udp"), spec, time.Second)
	rows := settle(t, dir, 1, 20*time.Second)

	shown := show(t, dir, rows[0].ID)
	if shown.Catalog.Tenant != "blue" || shown.Sidecar.Session.Tenant != "blue" {
		t.Errorf("tenant %q in the catalog, %q in the sidecar", shown.Catalog.Tenant, shown.Sidecar.Session.Tenant)
	}
	if shown.Sidecar.Audio.Encoding != "PCMA" {
		t.Errorf("%s was answered", shown.Sidecar.Audio.Encoding)
	}
	if cs := shown.Sidecar.CommunicationSessions; len(cs) != 1 || cs[0].ID != spec.Metadata.Session || cs[0].Group != spec.Metadata.Group || len(cs[0].SIPSessionIDs) != 1 {
		t.Errorf("communication sessions %+v", cs)
	}
	for _, p := range shown.Sidecar.Participants {
		if len(p.Sessions) != 1 || p.Sessions[0].Session != spec.Metadata.Session || p.Sessions[0].ToMS == 0 {
			t.Errorf("participant %+v", p)
		}
	}
	if diff := cmp.Diff([]string{string(siprec.WarnParticipantWithoutStreams)}, shown.Catalog.Warnings); diff != "" {
		t.Errorf("warnings: %s", diff)
	}
	for query, want := range map[string]int{
		"--tenant=blue": 1, "--tenant=red": 0, "--warning=participant-without-streams": 1, "--warning=no-metadata": 0,
		"--call-id=case-4711": 1, "--call-id=00fa0800705d4c5dcaac41": 1, "--call-id=00705D4C5DCAAC41": 1, "--call-id=00112238841573563457": 1,
		"--call-id=" + spec.Metadata.Group: 1, "--conversation=" + rows[0].ID: 1, "--conversation=nothing": 0,
	} {
		if got := list(t, dir, query); len(got) != want {
			t.Errorf("%s finds %d, want %d", query, len(got), want)
		}
	}
	for query, want := range map[string]int{"tenant=blue": 1, "tenant=red": 0, "warning=participant-without-streams": 1, "conversation=" + rows[0].ID: 1, "call_id=00112238841573563457": 1, "recording_session=x": 0} {
		var answer struct {
			Recordings []listedRecording `json:"recordings"`
		}
		_, _, body := fetch(t, s, "/api/v1/recordings?"+query, "")
		if err := json.Unmarshal(body, &answer); err != nil || len(answer.Recordings) != want {
			t.Errorf("%s: %d recordings, want %d: %v", query, len(answer.Recordings), want, err)
		}
	}
	if _, _, metrics := fetch(t, s, "/metrics", ""); !strings.Contains(string(metrics), `greffier_metadata_warnings_total{src="sbc",warning="participant-without-streams"} 1`) {
		t.Errorf("the warning is not counted:\n%s", metrics)
	}
	verifyGood(t, dir)

	refused := bursts()
	for i := range refused.Streams {
		refused.Streams[i].Formats = []siprec.Format{siprectest.PCMU}
	}
	if _, err := s.src("udp").Invite(t.Context(), refused); siprectest.Status(err) != 488 {
		t.Errorf("a call in PCMU only: %v", err)
	}
}
