package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/recorder"
)

func TestDayTime(t *testing.T) {
	for text, ok := range map[string]bool{
		"03:30": true, "00:00": true, "23:59": true, "off": true, "24:00": false, "3:30": false, "03:30:00": false, "": false, "never": false, "03:60": false,
	} {
		if d, err := parseDayTime(text); (err == nil) != ok || d.off != (text == "off") {
			t.Errorf("%q: %+v, %v", text, d, err)
		}
	}
}

func FuzzDayTime(f *testing.F) {
	for _, text := range []string{"03:30", "off", "24:00", "+3:30", "03:3０"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDayTime(text)
		if err == nil && !d.off && fmt.Sprintf("%02d:%02d", d.hour, d.minute) != text {
			t.Errorf("%q is read as %+v", text, d)
		}
	})
}

// TestFirstRound: at the time of the day, or soon after a start by which one was missed; also on the days on which the clocks change.
func TestFirstRound(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	const spread = 7 * time.Minute
	at := func(text string) time.Time {
		if text == "" {
			return time.Time{}
		}
		x, err := time.ParseInLocation("2006-01-02 15:04", text, paris)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for name, c := range map[string]struct{ now, last, want string }{
		"never":                  {"2027-06-01 12:00", "", "2027-06-01 12:12"},
		"made today":             {"2027-06-01 12:00", "2027-06-01 03:40", "2027-06-02 03:37"},
		"made yesterday, missed": {"2027-06-01 12:00", "2027-05-31 03:40", "2027-06-01 12:12"},
		"made yesterday, before": {"2027-06-01 03:29", "2027-05-31 03:40", "2027-06-01 03:37"},
		"missed by minutes":      {"2027-06-01 03:31", "2027-05-31 03:40", "2027-06-01 03:43"},
		"clocks go forward":      {"2027-03-27 12:00", "2027-03-27 04:00", "2027-03-28 03:37"},
		"clocks go back":         {"2027-10-30 12:00", "2027-10-30 04:00", "2027-10-31 03:37"},
	} {
		if got := (dayTime{hour: 3, minute: 30}).firstRound(at(c.now), at(c.last), spread); !got.Equal(at(c.want)) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	// At 02:30, which is not there on one day and twice on another, there is one round a day.
	d, now := dayTime{hour: 2, minute: 30}, at("2027-03-26 12:00")
	for range 365 {
		next := d.after(now)
		if gap := next.Sub(now); gap > 26*time.Hour || gap <= 0 {
			t.Fatalf("after %s comes %s", now, next)
		}
		now = next
	}
	if want := at("2028-03-25 02:30"); !now.Equal(want) {
		t.Errorf("the 365th is %s, want %s", now, want)
	}
}

// fakeRounder notes when rounds were made.
type fakeRounder struct {
	last  recorder.Round
	made  bool
	times []time.Time
	round func(ctx context.Context, pace recorder.Pace, n int) (recorder.VerifyReport, error)
}

func (f *fakeRounder) Round(ctx context.Context, pace recorder.Pace) (recorder.VerifyReport, error) {
	f.times = append(f.times, time.Now())
	if f.round == nil {
		return recorder.VerifyReport{}, nil
	}
	return f.round(ctx, pace, len(f.times))
}

func (f *fakeRounder) LastRound(context.Context) (recorder.Round, bool, error) {
	return f.last, f.made, nil
}

// runRounds runs rounds for a time, in a bubble, and gives when each began after the start.
func runRounds(t *testing.T, f *fakeRounder, d time.Duration) (r *rounds, began []time.Duration) {
	start := time.Now()
	at := start.Add(3*time.Hour + 30*time.Minute) // whatever time zone the machine is in
	r = &rounds{archive: f, at: dayTime{hour: at.Hour(), minute: at.Minute()}, rate: 1 << 20, busy: func() bool { return false }, log: zap.NewNop()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.run(ctx) }()
	time.Sleep(d) // of the bubble's clock
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, at := range f.times {
		began = append(began, at.Sub(start))
	}
	return r, began
}

// TestRoundsAreDaily: a bubble begins at midnight UTC of the first day of 2000, three hours and a half before the time of the day.
func TestRoundsAreDaily(t *testing.T) {
	const day = 24 * time.Hour
	first := 3*time.Hour + 30*time.Minute
	yesterday := recorder.Round{At: time.Date(1999, 12, 31, 4, 0, 0, 0, time.UTC)} // after the time of that day
	away := errors.New("store is away")
	for name, c := range map[string]struct {
		f    fakeRounder
		want []time.Duration
	}{
		"made yesterday": {fakeRounder{last: yesterday, made: true}, []time.Duration{first, first + day, first + 2*day}},
		"never made":     {fakeRounder{}, []time.Duration{roundSettle, first, first + day, first + 2*day}},
		"fails once": {fakeRounder{
			last: yesterday, made: true,
			round: func(_ context.Context, _ recorder.Pace, n int) (recorder.VerifyReport, error) {
				if n == 1 {
					return recorder.VerifyReport{}, away
				}
				return recorder.VerifyReport{}, nil
			},
		}, []time.Duration{first, first + roundRetry, first + day, first + 2*day}},
		"another's": {fakeRounder{
			last: yesterday, made: true,
			round: func(context.Context, recorder.Pace, int) (recorder.VerifyReport, error) {
				return recorder.VerifyReport{}, fmt.Errorf("make a round: %w", recorder.ErrNotOurs)
			},
		}, []time.Duration{first, first + day, first + 2*day}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, began := runRounds(t, &c.f, 2*day+12*time.Hour)
				if fmt.Sprint(began) != fmt.Sprint(c.want) {
					t.Errorf("rounds began after %v, want %v", began, c.want)
				}
			})
		})
	}
}

// TestRoundIsSlowAndStops: it reads no faster than it may, lets recordings be finished first, and ends at once when it is stopped.
func TestRoundIsSlowAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, busy := time.Now(), true
		p := pacer{rate: 1 << 20, busy: func() bool { return busy && time.Since(start) < 500*time.Millisecond }}
		for range 100 {
			if err := p.pace(t.Context(), 1<<16); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 6500*time.Millisecond || took > 7*time.Second {
			t.Errorf("6.25 MiB at 1 MiB/s, after half a second: took %s", took)
		}
		always := pacer{rate: 1 << 30, busy: func() bool { return true }}
		start = time.Now()
		if err := always.pace(t.Context(), 1); err != nil || time.Since(start) > roundYield {
			t.Errorf("beside recordings that never end: %v after %s", err, time.Since(start))
		}
		f := &fakeRounder{round: func(ctx context.Context, pace recorder.Pace, _ int) (recorder.VerifyReport, error) {
			return recorder.VerifyReport{}, pace(ctx, 1<<40) // twelve days
		}}
		if _, began := runRounds(t, f, time.Hour); len(began) != 1 {
			t.Errorf("rounds began after %v", began)
		}
		if f.times[0].Add(time.Hour - roundSettle).Before(time.Now()) {
			t.Errorf("it ended at %s", time.Now())
		}
	})
}

// TestRoundsAreMeasured: the metrics tell of the last round, also of one before the start.
func TestRoundsAreMeasured(t *testing.T) {
	m := newMetrics()
	f := &fakeRounder{round: func(context.Context, recorder.Pace, int) (recorder.VerifyReport, error) {
		return recorder.VerifyReport{Problems: []recorder.Finding{{Kind: recorder.Orphan}, {Kind: recorder.Orphan}, {Kind: recorder.RetentionOverdue}}}, nil
	}}
	r := &rounds{archive: f, log: zap.NewNop(), rate: 1, busy: func() bool { return false }}
	m.verified(r)
	shown := func() string {
		w := httptest.NewRecorder()
		m.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	if !strings.Contains(shown(), "greffier_verify_last_success_timestamp_seconds 0\n") {
		t.Error("there was no round yet")
	}
	if err := r.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`greffier_verify_findings{kind="orphan"} 2`, `greffier_verify_findings{kind="retention.overdue"} 1`, `greffier_verify_findings{kind="hash.mismatch"} 0`,
		`greffier_verify_duration_seconds `,
	} {
		if !strings.Contains(shown(), want+"") {
			t.Errorf("the metrics have no %s", want)
		}
	}
	if strings.Contains(shown(), "greffier_verify_last_success_timestamp_seconds 0\n") {
		t.Error("no time of the last round")
	}
}

// TestFindingsAreJSON: what `greffier verify --json` prints of a finding.
func TestFindingsAreJSON(t *testing.T) {
	b, err := json.Marshal(recorder.Finding{Kind: recorder.Orphan, ID: "i", Object: "k", Version: "v", Text: "t"})
	if want := `{"kind":"orphan","recording":"i","object":"k","version":"v","text":"t"}`; err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
}

// TestRoundOfAServer: what a round of a running server finds is in its metrics, in the audit log and in what the command prints, and a
// server that starts again knows of it, makes no other, and does not tell it twice.
func TestRoundOfAServer(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	if err := s.rounds.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	const orphans = `greffier_verify_findings{kind="orphan"}`
	if s.metric(orphans) != 0 || s.metric("greffier_verify_last_success_timestamp_seconds") == 0 {
		t.Error("a round of an empty store is not measured")
	}
	if err := os.WriteFile(filepath.Join(dir, storeDir, "objects", "Ada.wav"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.rounds.round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.metric(orphans); got != 1 {
		t.Errorf("%g orphans are measured", got)
	}
	out, code := cliRun(t, "verify", "--data-dir", dir)
	if code != exitFailed || !strings.Contains(out, "PROBLEM: orphan: Ada.wav: ") || !strings.Contains(out, "1 problems: ") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	s.stop()
	again := start(t, dir, recordAll)
	for again.rounds.last.Load() == nil { // it reads the log in the background
		runtime.Gosched()
	}
	if got := again.metric(orphans); got != 1 {
		t.Errorf("%g orphans are measured after a restart", got)
	}
	if err := again.rounds.round(t.Context()); !errors.Is(err, recorder.ErrNotOurs) {
		t.Errorf("a second process makes a round on the same day: %v", err)
	}
	if told, done := events(t, dir, string(recorder.Orphan)), events(t, dir, recorder.EventVerified); len(told) != 1 || len(done) != 2 || strings.Contains(string(told[0].Line), "Ada") {
		t.Errorf("%d findings and %d rounds are witnessed", len(told), len(done))
	}
}
