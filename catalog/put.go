package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// columns are those of a recording, in the order of its values.
const columns = `id, state, class, rule, reason, detail, policy_digest, src, tenant, call_key_hash,
	started_at, ended_at, duration_ms, channels, participants, call_ids, audio, sidecar,
	lock_mode, locked_until, quarantine_until, retain_until, gaps, gaps_ms, pauses, pauses_ms, end_cause, warnings,
	mos, loss, longest_gap_ms, conversation, group_hash, recording_session, links, gone_at, gone_reason`

func (r *Recording) values() []any {
	return []any{
		r.ID, string(r.State), r.Class, r.Rule, r.Reason, r.Detail, r.PolicyDigest, r.SRC, r.Tenant, r.CallKeyHash,
		millis(r.StartedAt), millis(r.EndedAt), r.Duration.Milliseconds(),
		encode(channelsJSON(r.Channels)), encode(notNil(r.Participants)), encode(notNil(r.CallIDs)), encode(r.Audio), encode(r.Sidecar),
		r.LockMode, millis(r.LockedUntil), millis(r.QuarantineUntil), millis(r.RetainUntil),
		r.Gaps.Count, r.Gaps.Total.Milliseconds(), r.Pauses.Count, r.Pauses.Total.Milliseconds(), string(r.EndCause), encode(notNil(r.Warnings)),
		r.Quality.MOS, r.Quality.Loss, r.Quality.LongestGap.Milliseconds(),
		r.Conversation, r.GroupHash, r.RecordingSession, encode(notNil(r.Links)),
		millis(r.Gone.At), r.Gone.Reason,
	}
}

// putRecording inserts a recording, or replaces everything but its created_at.
var putRecording = func() string {
	names := strings.Fields(strings.ReplaceAll(columns, ",", " "))
	sets := make([]string, 0, len(names))
	for _, n := range names[1:] {
		sets = append(sets, n+" = excluded."+n)
	}
	return "INSERT INTO recordings (" + columns + ", created_at, updated_at) VALUES (" + strings.Repeat("?, ", len(names)) + "?, ?)" +
		" ON CONFLICT (id) DO UPDATE SET " + strings.Join(sets, ", ") + ", updated_at = excluded.updated_at"
}()

// Put adds the recording, or replaces the one with its id as a whole. It is durable on return.
func (c *Catalog) Put(ctx context.Context, r Recording) error {
	if err := r.validate(); err != nil {
		return fmt.Errorf("put recording: %w", err)
	}
	err := c.write.inTx(ctx, func(ctx context.Context, tx tx) error { return putIn(ctx, tx, r, c.now().UnixMilli()) }, ofRecording(r.ID))
	if err != nil {
		return fmt.Errorf("put recording %s: %w", r.ID, err)
	}
	return nil
}

func putIn(ctx context.Context, tx tx, r Recording, now int64) error {
	if _, err := tx.ExecContext(ctx, putRecording, append(r.values(), now, now)...); err != nil {
		return err
	}
	for _, table := range []string{"participants", "call_ids", "links"} {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE recording_id = ?", r.ID); err != nil {
			return err
		}
	}
	for i, p := range r.Participants {
		_, err := tx.ExecContext(ctx, "INSERT INTO participants (recording_id, position, search, number) VALUES (?, ?, ?, ?)",
			r.ID, i, searchText(p), numberKey(p.Number))
		if err != nil {
			return err
		}
	}
	for i, id := range r.CallIDs {
		if _, err := tx.ExecContext(ctx, "INSERT INTO call_ids (recording_id, position, call_id) VALUES (?, ?, ?)", r.ID, i, idKey(id)); err != nil {
			return err
		}
	}
	for i, link := range r.Links {
		if _, err := tx.ExecContext(ctx, "INSERT INTO links (recording_id, position, link) VALUES (?, ?, ?)", r.ID, i, link); err != nil {
			return err
		}
	}
	return nil
}

// SetState changes the state of a recording, and nothing else. ErrNotFound when there is none.
func (c *Catalog) SetState(ctx context.Context, id string, s State) error {
	r := Recording{ID: id, State: s, StartedAt: c.now()}
	if err := r.validate(); err != nil {
		return fmt.Errorf("set state: %w", err)
	}
	var res sql.Result
	err := c.write.inTx(ctx, func(ctx context.Context, tx tx) (err error) {
		res, err = tx.ExecContext(ctx, "UPDATE recordings SET state = ?, updated_at = ? WHERE id = ?", string(s), c.now().UnixMilli(), id)
		return err
	}, ofRecording(id))
	return changed(res, err, "set state of recording "+id)
}

// Delete takes a recording out of the catalog, with the facts that are kept of it. ErrNotFound when there is none; its facts go all the same.
func (c *Catalog) Delete(ctx context.Context, id string) error {
	var res sql.Result
	err := c.write.inTx(ctx, func(ctx context.Context, tx tx) (err error) {
		if err = deleteFacts(ctx, tx, id); err != nil {
			return err
		}
		res, err = tx.ExecContext(ctx, "DELETE FROM recordings WHERE id = ?", id)
		return err
	}, ofRecording(id))
	return changed(res, err, "delete recording "+id)
}

// changed turns a statement that changed no row into ErrNotFound.
func changed(res sql.Result, err error, what string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if n == 0 {
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	return nil
}

// ofRecording is the subject of transactions about a recording.
func ofRecording(id string) string { return "recording/" + id }
