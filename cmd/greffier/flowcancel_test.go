package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/siprec/siprectest"
)

// TestCancelledCalls: an INVITE that is taken back leaves nothing: no recording, no key, no sound. The catalog is kept busy
// meanwhile, so that the answer cannot overtake the CANCEL.
func TestCancelledCalls(t *testing.T) {
	t.Parallel()
	p, dir, work := newPKI(t), t.TempDir(), t.TempDir()
	s := startFlows(t, p, dir)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, catalogFile)+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	cancels := map[string]func(context.Context) error{
		"udp": func(ctx context.Context) error {
			return sipp(ctx, work, s.address("udp"), "udp", filepath.Join(sippDir, "flow-cancel.xml"), "cancel-udp")
		},
		"tcp": func(ctx context.Context) error {
			return sipp(ctx, work, s.address("tcp"), "tcp", filepath.Join(sippDir, "flow-cancel.xml"), "cancel-tcp")
		},
		"tls": func(ctx context.Context) error {
			src, err := siprectest.Dial(ctx, siprectest.Config{Server: s.address("tls"), Transport: "tls", TLS: p.client("")})
			if err != nil {
				return err
			}
			defer src.Close()
			invite, err := src.Begin(ctx, bursts())
			if err != nil {
				return err
			}
			select {
			case <-invite.Provisional():
			case <-ctx.Done():
				return ctx.Err()
			}
			return invite.Cancel(ctx)
		},
	}
	over := 0
	for transport, cancelled := range cancels {
		t.Run(transport, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), flowPatience)
			defer cancel()
			busy, err := db.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer busy.Rollback()
			if _, err := busy.ExecContext(ctx, "CREATE TABLE busy (x)"); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- cancelled(ctx) }()
			if err := pass(ctx, time.Second); err != nil {
				t.Fatal(err)
			}
			if err := busy.Rollback(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			over++
			eventually(t, "end witnessed", 10*time.Second, func() bool { return len(endCauses(t, s)) == over })
		})
	}
	s.stop()
	if rows := list(t, dir); len(rows) != 0 {
		t.Errorf("%d recordings, of which %+v", len(rows), rows[0])
	}
	for _, d := range []string{spoolDir, storeDir} {
		left, err := os.ReadDir(filepath.Join(dir, d, "recordings"))
		if err != nil && !os.IsNotExist(err) || len(left) > 0 {
			t.Errorf("%s holds %v: %v", d, left, err)
		}
	}
	if got := endCauses(t, s); !slices.Equal(got, []string{"cancel", "cancel", "cancel"}) {
		t.Errorf("sessions ended by %v", got)
	}
	verifyGood(t, dir)
}

// endCauses lists why sessions ended, by the audit log.
func endCauses(t *testing.T, s *running) (out []string) {
	t.Helper()
	for e, err := range audit.Read(s.parts.archive.AuditDir) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != "session.ended" {
			continue
		}
		var ended struct{ Cause string }
		if err := json.Unmarshal(e.Data, &ended); err != nil {
			t.Fatal(err)
		}
		out = append(out, ended.Cause)
	}
	return out
}
