package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/spool"
)

// A VerifyReport says whether store, catalog, keys and audit log tell the same story.
type VerifyReport struct {
	Entries     uint64   `json:"audit_entries"`
	Head        string   `json:"audit_head"`
	Recordings  int      `json:"recordings"`   // read whole, hashed and opened
	NotRecorded int      `json:"not_recorded"` // decided not to record, and nothing kept
	Unfinished  int      `json:"unfinished"`   // in progress, or waiting in the spool
	Gone        int      `json:"gone"`         // expired or destroyed, and nothing left that can be read
	Held        int      `json:"held"`         // under a legal hold
	Documents   int      `json:"documents"`    // about recordings, read whole, hashed and opened
	Problems    []string `json:"problems"`
	Notices     []string `json:"notices"` // worth knowing, and nobody's promise
}

// story is what the audit log tells of one recording.
type story struct {
	decided, record bool
	started         bool // the SRC may have been told that we record
	cancelled       bool // and took its call back before it was
	stored, locked  bool
	undone          bool
	gone            bool       // expired, or destroyed for a reason
	made            bool       // of another recording, by a redaction
	objects         objectData // as last stored
}

// Verify reads every object of every recording, every key, the whole catalog and the whole audit log, and lists whatever
// disagrees. It changes nothing, and may run beside a recorder: what is in progress is left out.
func (a *Archive) Verify(ctx context.Context, progress func(done int)) (VerifyReport, error) {
	rep := VerifyReport{Problems: []string{}, Notices: []string{}}
	// The log is read last: what was witnessed before it was done is then there for everything that was found.
	if err := a.Catalog.Check(ctx); err != nil {
		rep.problem("catalog: %v", err)
	}
	rows, err := a.Catalog.List(ctx, catalog.Query{})
	if err != nil {
		return rep, fmt.Errorf("list catalog: %w", err)
	}
	pairs, problems, err := a.pairs(ctx)
	if err != nil {
		return rep, err
	}
	rep.Problems = append(rep.Problems, problems...)
	log, err := audit.Verify(a.AuditDir)
	if err != nil {
		rep.problem("audit log: %v", err)
	}
	rep.Entries, rep.Head = log.Entries, log.Head
	if log.Torn > 0 || log.Uncovered > 0 {
		rep.Notices = append(rep.Notices, fmt.Sprintf("audit log: a crash left %d bytes and %d entries that nobody was told of; the next entry puts it in order", log.Torn, log.Uncovered))
	}
	stories, err := a.stories()
	if err != nil {
		rep.problem("audit log: %v", err)
	}
	known := map[string]bool{}
	for _, row := range rows {
		known[row.ID] = true
		if err := ctx.Err(); err != nil {
			return rep, err
		}
		for _, p := range a.verifyRow(ctx, row, pairs[row.ID], stories[row.ID], &rep) {
			// Beside a running recorder a row may have moved on since it was read: believe only what is still so.
			if now, err := a.Catalog.Get(ctx, row.ID); err == nil && now.State == row.State {
				rep.problem("%s: %s", row.ID, p)
			}
		}
		progress(rep.Recordings)
	}
	a.verifyStrangers(ctx, known, pairs, stories, &rep)
	if err := errors.Join(a.verifyAnalyses(ctx, &rep), a.verifyHolds(ctx, &rep), a.verifyErasures(ctx, &rep)); err != nil {
		return rep, err
	}
	sort.Strings(rep.Problems)
	rep.Problems = slices.Compact(rep.Problems)
	return rep, nil
}

func (v *VerifyReport) problem(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

// stories replays the audit log.
func (a *Archive) stories() (map[string]story, error) {
	out := map[string]story{}
	for e, err := range audit.Read(a.AuditDir) {
		if err != nil {
			return out, err
		}
		s := out[e.Subject]
		if err := s.tell(e); err != nil {
			return out, fmt.Errorf("entry %d: %w", e.Seq, err)
		}
		if s.decided {
			out[e.Subject] = s
		}
		if err := succeed(out, e); err != nil {
			return out, fmt.Errorf("entry %d: %w", e.Seq, err)
		}
	}
	return out, nil
}

// tell adds one entry to a recording's story.
func (s *story) tell(e audit.Entry) error {
	switch done := e.Outcome == audit.Done; {
	case e.Type == EventDecision:
		var d decisionData
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		s.decided, s.record = true, d.Record
	case e.Type == EventEnded:
		var d endedData
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		s.cancelled = d.Cause == string(siprec.EndCancel) || d.Cause == string(siprec.EndDeclined)
	case e.Type == EventStored && done:
		s.stored, s.objects = true, objectData{}
		return json.Unmarshal(e.Data, &s.objects)
	case e.Type == EventStarted && done:
		s.started = true
	case e.Type == EventLocked && done:
		s.locked = true
	case e.Type == EventAbandoned && done:
		s.undone = true
	case e.Type == EventExpired || e.Type == EventDestroyed || e.Type == EventShredded:
		s.gone = s.gone || done || e.Outcome == audit.Intended // the key may be gone, and a crash have come before the other event
	}
	return nil
}

// quarantineGrace is how long after its quarantine a recording may wait for its lock before that is a problem.
const quarantineGrace = time.Hour

// verifyRow checks one row of the catalog against everything else.
func (a *Archive) verifyRow(ctx context.Context, row catalog.Recording, p pair, s story, rep *VerifyReport) []string {
	if !s.decided {
		return []string{"no decision in the audit log"}
	}
	if s.undone && s.started && !s.cancelled {
		return []string{"the SRC was told that it is recorded, and the recording was thrown away"}
	}
	switch row.State {
	case catalog.StateNotRecorded:
		rep.NotRecorded++
		return a.verifyNothing(ctx, row, p, s)
	case catalog.StateExpired, catalog.StateDestroyed, catalog.StateShredded, catalog.StateErased:
		rep.Gone++
		return a.verifyGone(ctx, row, p, s)
	}
	if ending, err := a.verifyEnding(ctx, row, rep); ending || err != nil {
		return problems(err)
	}
	switch row.State {
	case catalog.StateRecording, catalog.StateFinishing:
		rep.Unfinished++
		if !spool.Holds(a.SpoolDir, row.ID) && !s.undone {
			return []string{"unfinished, and not in the spool"}
		}
		return nil
	case catalog.StateStored, catalog.StateLocked:
		rep.Recordings++
		return a.verifyRecording(ctx, row, p, s, rep)
	}
	return []string{fmt.Sprintf("it is %s, which this version never makes it", row.State)}
}

// verifyNothing checks that a call that was not recorded left nothing.
func (a *Archive) verifyNothing(ctx context.Context, row catalog.Recording, p pair, s story) []string {
	var out []string
	if s.record {
		out = append(out, "the catalog says not recorded, the audit log says recorded")
	}
	if p.audio.Key != "" || p.sidecar.Key != "" {
		out = append(out, "not recorded, and objects in the store")
	}
	if _, err := a.Keys.Get(ctx, row.ID); !errors.Is(err, seal.ErrNotFound) {
		out = append(out, "not recorded, and a key exists")
	}
	if spool.Holds(a.SpoolDir, row.ID) {
		out = append(out, "not recorded, and a spool file exists")
	}
	return out
}

// verifyRecording reads both objects of a recording whole.
func (a *Archive) verifyRecording(ctx context.Context, row catalog.Recording, p pair, s story, rep *VerifyReport) []string {
	var out []string
	bad := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if !s.record || !s.stored {
		bad("the audit log does not tell of its storing")
	}
	if row.State == catalog.StateLocked && row.LockMode != string(policy.NoLock) && !s.locked {
		bad("the audit log does not tell of its locking")
	}
	if s.stored && (refOf(p.audio) != s.objects.Audio || refOf(p.sidecar) != s.objects.Sidecar) {
		bad("the objects in the store are not those that the audit log tells of")
	}
	out = append(out, a.verifyTerms(ctx, row, rep)...)
	if p.audio.Key != row.Audio.Key || p.sidecar.Key != row.Sidecar.Key {
		bad("the store does not have the objects that the catalog names")
		return out
	}
	out = append(out, a.verifyHeld(ctx, row, p, rep)...)
	side, err := a.sidecar(ctx, row)
	if err != nil {
		bad("sidecar: %v", err)
		return out
	}
	if s.stored && side.Audio.SHA256 != s.objects.PlainSHA256 {
		bad("the sidecar's hash of the audio is not the one in the audit log")
	}
	if err := a.verifyObject(ctx, row.ID, storage.Ref{Key: row.Audio.Key, VersionID: row.Audio.Version}, side.Audio.SealedSHA256, side.Audio.SHA256); err != nil {
		bad("audio: %v", err)
	}
	if err := a.verifyObject(ctx, row.ID, storage.Ref{Key: row.Sidecar.Key, VersionID: row.Sidecar.Version}, row.Sidecar.SHA256, ""); err != nil {
		bad("sidecar: %v", err)
	}
	want := a.words().storedRow(side, objectData{Audio: refOf(p.audio), Sidecar: refOf(p.sidecar)})
	want.State, want.LockedUntil = row.State, row.LockedUntil
	if !same(want, row) {
		bad("the catalog's row is not what the sidecar says (`greffier catalog rebuild` mends it)")
	}
	if row.State == catalog.StateLocked && row.LockMode != string(policy.NoLock) {
		for _, o := range []storage.Info{p.audio, p.sidecar} {
			if string(o.Retention.Mode) != row.LockMode || o.Retention.Until.Before(want.RetainUntil) {
				bad("%s is locked %s until %s, and should be %s until %s", o.Key, o.Retention.Mode, o.Retention.Until, row.LockMode, want.RetainUntil)
			} else if o.Retention.Until.After(want.RetainUntil) {
				rep.Notices = append(rep.Notices, fmt.Sprintf("%s: locked longer than its class says, until %s", row.ID, o.Retention.Until))
			}
		}
	}
	return out
}

// same compares two rows as they are shown.
func same(a, b catalog.Recording) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// verifyObject reads an object whole, sealed and opened, and compares both hashes.
func (a *Archive) verifyObject(ctx context.Context, id string, ref storage.Ref, sealedSum, plainSum string) error {
	object, err := a.Store.Open(ctx, ref)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer object.Close()
	size := object.Info().Size
	sealed := newCounter(io.Discard)
	if _, err := io.Copy(sealed, io.NewSectionReader(object, 0, size)); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if sealed.sum() != sealedSum {
		return errors.New("its bytes have changed")
	}
	key, err := a.Keys.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("get key: %w", err)
	}
	plain, err := key.Decrypt(object, size)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	sum := newCounter(io.Discard)
	if _, err := io.Copy(sum, plain); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if plainSum != "" && sum.sum() != plainSum {
		return errors.New("its content is not what was recorded")
	}
	return nil
}

// verifyStrangers looks for what the catalog does not know.
func (a *Archive) verifyStrangers(ctx context.Context, known map[string]bool, pairs map[string]pair, stories map[string]story, rep *VerifyReport) {
	spooled := func(id string) bool { return spool.Holds(a.SpoolDir, id) }
	now := func(id string) bool { _, err := a.Catalog.Get(ctx, id); return err == nil } // it may have come since
	for id := range pairs {
		if !known[id] && !spooled(id) && !now(id) {
			rep.problem("%s: in the store, and not in the catalog (`greffier catalog rebuild` mends it)", id)
		}
	}
	for id, s := range stories {
		switch {
		case known[id] || spooled(id) || now(id):
		case s.undone && s.started && !s.cancelled:
			rep.problem("%s: the SRC was told that it is recorded, and the recording was thrown away", id)
		case s.undone, s.gone, s.made && !s.stored:
		case s.record && !s.started:
			rep.Notices = append(rep.Notices, fmt.Sprintf("%s: decided to be recorded, and never answered", id))
		case s.record && !s.stored:
			rep.problem("%s: the SRC was told that it is recorded, and there is no recording", id)
		default:
			rep.problem("%s: decided, and not in the catalog (`greffier catalog rebuild` mends it)", id)
		}
	}
	for id, err := range a.Keys.List(ctx) {
		if err != nil {
			rep.problem("keys: %v", err)
			break
		}
		if !known[id] && !spooled(id) && !now(id) && !stories[id].undone && !a.isAnalysis(ctx, id) {
			rep.Notices = append(rep.Notices, fmt.Sprintf("%s: a key that opens nothing", id))
		}
	}
}
