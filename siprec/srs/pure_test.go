package srs_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec/srs"
)

func TestSchedule(t *testing.T) {
	s := srs.NewSchedule(500*time.Millisecond, 4*time.Second)
	var waits []float64
	total := 0.0
	for {
		w, again := s.Next()
		waits, total = append(waits, w.Seconds()), total+w.Seconds()
		if !again {
			break
		}
	}
	want := []float64{0.5, 1, 2, 4, 4, 4, 4, 4, 4, 4, 0.5}
	if diff := cmp.Diff(want, waits); diff != "" || total != 32 {
		t.Errorf("%s, in all %v s", diff, total)
	}
}

func TestSequence(t *testing.T) {
	got := srs.Judge(5, 6, 6, 5, 8, 7, 9)
	want := []string{"next", "stale", "stale", "ahead", "stale", "next"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestAnswerTimer is table 2 of RFC 4028 section 9.
func TestAnswerTimer(t *testing.T) {
	const s = 1800 * time.Second
	for _, x := range []struct {
		interval         time.Duration
		by               string
		supported, weCan bool
		expires          string
		require          bool
	}{
		{0, "", true, true, "", false},
		{s, "", true, true, "1800;refresher=uac", true},
		{s, "uac", true, false, "1800;refresher=uac", true},
		{s, "uas", true, true, "1800;refresher=uas", true},
		{s, "uas", true, false, "", false},
		{s, "", false, true, "1800;refresher=uas", false},
		{s, "", false, false, "", false},
	} {
		expires, require := srs.AnswerTimer(x.interval, x.by, x.supported, x.weCan)
		if expires != x.expires || require != x.require {
			t.Errorf("%+v: %q, %v", x, expires, require)
		}
	}
}

func TestBucket(t *testing.T) {
	got := srs.TakeTokens(0, 0, 0, time.Second, time.Second, time.Hour, time.Hour, time.Hour, 0)
	want := []bool{true, true, false, true, false, true, true, false, false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSplitList(t *testing.T) {
	got := srs.SplitList(`a, "b, \", c" <sip:x,y>;q=1 ,, d`)
	want := []string{"a", `"b, \", c" <sip:x,y>;q=1`, "d"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRepairContact(t *testing.T) {
	for text, want := range map[string]string{
		"<sip:u@h;+sip.src":  "<sip:u@h;+sip.src>",
		"<sip192.0.2.1>;x":   "<sip:192.0.2.1>;x",
		"<sip[2001:db8::1]>": "<sip:[2001:db8::1]>",
		"<sip:u@h>":          "",
		"nothing":            "",
		`"x" <sip192.0.2.1`:  `"x" <sip:192.0.2.1>`,
	} {
		if got, ok := srs.RepairContact(text); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v", text, got, ok)
		}
	}
}

// FuzzRequest throws bytes at everything between the socket and the Recorder, sipgo's parser included.
func FuzzRequest(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.sip"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds in testdata: %v", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, data []byte) { srs.Examine(data) })
}

// FuzzAnswer does the same with what a client answers to requests of ours.
func FuzzAnswer(f *testing.F) {
	head := "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n"
	for _, s := range []string{
		"SIP/2.0 200 OK\r\n" + head + "Contact: <sip:c@192.0.2.2>\r\nAllow: INVITE, UPDATE\r\nSession-Expires: 90;refresher=uac\r\nRequire: timer\r\nContent-Type: application/sdp\r\n\r\n" + offer("sendonly", "inactive"),
		"SIP/2.0 200 OK\r\n" + head + "Content-Type: " + multipartType + "\r\n\r\n" + both("sendonly"),
		"SIP/2.0 422 Small\r\n" + head + "Min-SE: 600;x=1\r\n\r\n",
		"SIP/2.0 503 Busy\r\n" + head + "Retry-After: 18 (soon);duration=3600\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, data []byte) { srs.ExamineAnswer(data) })
}
