package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/greffier/greffier/siprec"
)

// A Query says which recordings are wanted. Every field that is set narrows it; the zero Query wants all.
type Query struct {
	ID    string    `json:"id,omitzero"`    // that of the one recording that is asked about
	From  time.Time `json:"from,omitzero"`  // started then or later
	To    time.Time `json:"to,omitzero"`    // started before
	Party string    `json:"party,omitzero"` // part of an address of record or of a name, without regard to case
	// Number finds international numbers that begin like it ("+3361", "003361"), or, when it has no international prefix, numbers that end
	// like it, leading zeros left aside ("0611223344" finds +33611223344, "1001" the extension). A hash finds itself.
	Number string `json:"number,omitzero"`
	CallID string `json:"call_id,omitzero"` // one identifier of the call, whole; one of hexadecimal digits without regard to case and hyphens
	SRC    string `json:"src,omitzero"`
	Tenant string `json:"tenant,omitzero"`
	Class  string `json:"class,omitzero"`
	Rule   string `json:"rule,omitzero"`
	State  State  `json:"state,omitzero"`

	// Conversation finds what belongs to one conversation, by the id of a recording of it, or by its own keyed hash.
	Conversation     string `json:"conversation,omitzero"`
	RecordingSession string `json:"recording_session,omitzero"` // recordings of one SIP session
	Warning          string `json:"warning,omitzero"`           // recordings with this warning

	MOSBelow  float64 `json:"mos_below,omitzero"`  // worst MOS below this; 0: any
	ByLoss    bool    `json:"by_loss,omitzero"`    // LossAbove counts
	LossAbove float64 `json:"loss_above,omitzero"` // worst share of lost packets above this, 0 to 1

	NotEnded bool      `json:"not_ended,omitzero"` // only sessions without an end
	DueBy    time.Time `json:"due_by,omitzero"`    // only recordings with a lock mode whose quarantine ended by then
	TermBy   time.Time `json:"term_by,omitzero"`   // only recordings in the store whose term ended by then, and that nobody holds
	Unswept  bool      `json:"unswept,omitzero"`   // only what is expired or destroyed, and whose bytes may be there

	Limit int    `json:"limit,omitzero"` // at most so many; 0: all
	After string `json:"after,omitzero"` // id of the last recording of the page before; ErrNotFound when it is gone
}

// Get gives the recording with the id, or ErrNotFound.
func (c *Catalog) Get(ctx context.Context, id string) (Recording, error) {
	rows, err := c.recordings(ctx, "WHERE id = ?", id)
	if err == nil && len(rows) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Recording{}, fmt.Errorf("get recording %s: %w", id, err)
	}
	return rows[0], nil
}

// List gives the recordings that the query wants, the newest first, and by id where they started at the same instant.
func (c *Catalog) List(ctx context.Context, q Query) ([]Recording, error) {
	where, args, err := c.where(q)
	if err != nil {
		return nil, fmt.Errorf("list recordings: %w", err)
	}
	if q.After != "" {
		var at int64
		err := c.read.QueryRowContext(ctx, "SELECT started_at FROM recordings WHERE id = ?", q.After).Scan(&at)
		if errors.Is(err, sql.ErrNoRows) {
			err = ErrNotFound
		}
		if err != nil {
			return nil, fmt.Errorf("list recordings after %s: %w", q.After, err)
		}
		where += " AND (started_at < ? OR started_at = ? AND id > ?)"
		args = append(args, at, at, q.After)
	}
	tail := where + " ORDER BY started_at DESC, id"
	if q.Limit > 0 {
		tail += " LIMIT ?"
		args = append(args, q.Limit)
	}
	list, err := c.recordings(ctx, tail, args...)
	if err != nil {
		return nil, fmt.Errorf("list recordings: %w", err)
	}
	return list, nil
}

// Count tells how many recordings the query wants, whatever its limit and page.
func (c *Catalog) Count(ctx context.Context, q Query) (int, error) {
	where, args, err := c.where(q)
	if err != nil {
		return 0, fmt.Errorf("count recordings: %w", err)
	}
	var n int
	if err := c.read.QueryRowContext(ctx, "SELECT COUNT(*) FROM recordings "+where, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count recordings: %w", err)
	}
	return n, nil
}

// allPage is how many recordings All reads at once.
const allPage = 500

// All goes through every recording by id. Recordings that are put meanwhile may or may not be among them. An error ends it.
func (c *Catalog) All(ctx context.Context) iter.Seq2[Recording, error] {
	return func(yield func(Recording, error) bool) {
		last := ""
		for {
			page, err := c.recordings(ctx, "WHERE id > ? ORDER BY id LIMIT ?", last, allPage)
			if err != nil {
				yield(Recording{}, fmt.Errorf("read recordings: %w", err))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
				last = r.ID
			}
			if len(page) < allPage {
				return
			}
		}
	}
}

// Gone gives the ids of all recordings of which only the row is left.
func (c *Catalog) Gone(ctx context.Context) (map[string]bool, error) {
	rows, err := c.read.QueryContext(ctx, "SELECT id FROM recordings WHERE gone_at > 0")
	if err != nil {
		return nil, fmt.Errorf("list what is gone: %w", err)
	}
	defer rows.Close()
	out := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("list what is gone: %w", err)
		}
		out[id] = true
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list what is gone: %w", err)
	}
	return out, nil
}

// where gives a query's condition with its arguments.
func (c *Catalog) where(q Query) (string, []any, error) {
	conditions := []string{"1 = 1"}
	var args []any
	and := func(condition string, arg any) {
		conditions = append(conditions, condition)
		args = append(args, arg)
	}
	if !q.From.IsZero() {
		and("started_at >= ?", q.From.UnixMilli())
	}
	if !q.To.IsZero() {
		and("started_at < ?", q.To.UnixMilli())
	}
	for _, exact := range []struct{ column, value string }{{"id", q.ID}, {"src", q.SRC}, {"tenant", q.Tenant}, {"recording_session", q.RecordingSession}, {"class", q.Class}, {"rule", q.Rule}, {"state", string(q.State)}} {
		if exact.value != "" {
			and(exact.column+" = ?", exact.value)
		}
	}
	if q.NotEnded {
		conditions = append(conditions, "ended_at = 0")
	}
	if !q.DueBy.IsZero() {
		and("lock_mode NOT IN ('', 'none') AND quarantine_until <= ?", q.DueBy.UnixMilli())
	}
	if !q.TermBy.IsZero() {
		and("state IN ('stored', 'locked') AND retain_until > 0 AND retain_until <= ? AND id NOT IN (SELECT recording_id FROM held WHERE state <> 'lifted')",
			q.TermBy.UnixMilli())
	}
	if q.Unswept {
		conditions = append(conditions, "gone_at > 0 AND (audio <> '{}' OR sidecar <> '{}')")
	}
	if q.MOSBelow > 0 {
		and("mos > 0 AND mos < ?", q.MOSBelow)
	}
	if q.ByLoss {
		and("mos > 0 AND loss > ?", q.LossAbove)
	}
	if q.Party != "" {
		condition, arg := partyCondition(q.Party)
		and("id IN (SELECT p.recording_id FROM participants p WHERE "+condition+")", arg)
	}
	if q.Number != "" {
		if numberKey(q.Number) == "" {
			return "", nil, fmt.Errorf("%w: number %q has no digits", ErrQuery, q.Number)
		}
		condition, arg := numberCondition(q.Number)
		and("id IN (SELECT p.recording_id FROM participants p WHERE "+condition+")", arg)
	}
	if q.CallID != "" {
		bare, _, _ := strings.Cut(q.CallID, ";") // parameters, as ";remote=" and ";encoding=hex", are no part of most identifiers
		and("id IN (SELECT i.recording_id FROM call_ids i WHERE i.call_id IN (?, ?))", idKey(q.CallID))
		args = append(args, idKey(bare))
	}
	if q.Conversation != "" {
		and(c.read.conversation(), q.Conversation)
		args = append(args, q.Conversation, q.Conversation)
	}
	if q.Warning != "" {
		and(c.read.warned(q.Warning))
	}
	return "WHERE " + strings.Join(conditions, " AND "), args, nil
}

// recordings reads the rows that the rest of a SELECT asks for.
func (c *Catalog) recordings(ctx context.Context, tail string, args ...any) ([]Recording, error) {
	rows, err := c.read.QueryContext(ctx, "SELECT "+columns+" FROM recordings "+tail, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Recording
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

func scan(rows *cursor) (Recording, error) {
	var r Recording
	var state, channels, participants, callIDs, audio, sidecar, endCause, warnings, links string
	var gone int64
	var started, ended, duration, locked, quarantine, retain, gaps, pauses, longest int64
	err := rows.Scan(&r.ID, &state, &r.Class, &r.Rule, &r.Reason, &r.Detail, &r.PolicyDigest, &r.SRC, &r.Tenant, &r.CallKeyHash,
		&started, &ended, &duration, &channels, &participants, &callIDs, &audio, &sidecar,
		&r.LockMode, &locked, &quarantine, &retain, &r.Gaps.Count, &gaps, &r.Pauses.Count, &pauses, &endCause, &warnings,
		&r.Quality.MOS, &r.Quality.Loss, &longest, &r.Conversation, &r.GroupHash, &r.RecordingSession, &links, &gone, &r.Gone.Reason)
	if err != nil {
		return Recording{}, err
	}
	r.State, r.EndCause = State(state), siprec.EndCause(endCause)
	r.StartedAt, r.EndedAt = fromMillis(started), fromMillis(ended)
	r.LockedUntil, r.QuarantineUntil, r.RetainUntil = fromMillis(locked), fromMillis(quarantine), fromMillis(retain)
	r.Gone.At = fromMillis(gone)
	r.Duration = time.Duration(duration) * time.Millisecond
	r.Gaps.Total, r.Pauses.Total = time.Duration(gaps)*time.Millisecond, time.Duration(pauses)*time.Millisecond
	r.Quality.LongestGap = time.Duration(longest) * time.Millisecond
	r.Channels, err = parseChannels(channels)
	err = errors.Join(err,
		decode(participants, &r.Participants), decode(callIDs, &r.CallIDs), decode(audio, &r.Audio),
		decode(sidecar, &r.Sidecar), decode(warnings, &r.Warnings), decode(links, &r.Links))
	if err != nil {
		return Recording{}, fmt.Errorf("recording %s: %w", r.ID, err)
	}
	return r, nil
}

// decode reads a column of JSON text. An empty list becomes nil.
func decode(text string, into any) error {
	if text == "[]" {
		return nil
	}
	return json.Unmarshal([]byte(text), into)
}
