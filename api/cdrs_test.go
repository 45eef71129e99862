package api_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/api"
)

type expecting func(api.CDR) error

func (f expecting) Expect(_ context.Context, c api.CDR) error { return f(c) }

// TestCDRs: what the telephone system says of a call reaches the one who looks for its recording as it was said.
func TestCDRs(t *testing.T) {
	var got []api.CDR
	s := serve(t, api.Config{Expecter: expecting(func(c api.CDR) error { got = append(got, c); return nil })})
	s.post("/api/v1/cdrs", `{"call_id":"a@sbc","identifiers":["ucid-1"],"caller":"+33140000001","callee":"112","ended_at":"2026-11-23T14:00:00+01:00","class":"emergency"}`, http.StatusAccepted)
	s.post("/api/v1/cdrs", `{"identifiers":["ucid-2"],"ended_at":"2026-11-23T14:00:00Z"}`, http.StatusAccepted)
	for i := range got {
		got[i].EndedAt = got[i].EndedAt.UTC()
	}
	want := []api.CDR{
		{CallID: "a@sbc", Identifiers: []string{"ucid-1"}, Caller: "+33140000001", Callee: "112", EndedAt: time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC), Class: "emergency"},
		{Identifiers: []string{"ucid-2"}, EndedAt: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("expected are %+v, want %+v", got, want)
	}
	for _, body := range []string{
		`{}`, `{"call_id":"a"}`, `{"ended_at":"2026-11-23T14:00:00Z"}`, `{"call_id":"a","ended_at":"yesterday"}`, `{"call_id":"a","ended_at":"2026-11-23T14:00:00Z","cost":3}`,
		`{"call_id":"` + strings.Repeat("x", 513) + `","ended_at":"2026-11-23T14:00:00Z"}`,
		`{"identifiers":["` + strings.Repeat(`x","`, 16) + `x"],"ended_at":"2026-11-23T14:00:00Z"}`,
	} {
		s.post("/api/v1/cdrs", body, http.StatusBadRequest)
	}
	if len(got) != 2 {
		t.Errorf("%d are expected, want 2", len(got))
	}
}

func TestCDRsFail(t *testing.T) {
	for err, status := range map[error]int{api.Conflict("no class emergency"): http.StatusConflict, errors.New("disk full"): http.StatusInternalServerError} {
		s := serve(t, api.Config{Expecter: expecting(func(api.CDR) error { return err })})
		s.post("/api/v1/cdrs", `{"call_id":"a","ended_at":"2026-11-23T14:00:00Z"}`, status)
	}
}
