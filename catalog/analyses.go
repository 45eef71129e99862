package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// An Analysis is the index of a document about a recording. It holds nothing of what the document says.
type Analysis struct {
	ID          string        `json:"id"`
	Recording   string        `json:"recording"`
	Class       string        `json:"class"`
	Kind        string        `json:"kind"`
	State       AnalysisState `json:"state"`
	WrittenAt   time.Time     `json:"written_at"`
	RetainUntil time.Time     `json:"retain_until"`
	Object      Object        `json:"object"`
}

// An AnalysisState says how far a document has come.
type AnalysisState string

// The states of a document. When its bytes are gone its row is, too.
const (
	AnalysisWriting AnalysisState = "writing" // on its way into the store
	AnalysisStored  AnalysisState = "stored"
	AnalysisGone    AnalysisState = "gone" // the key is destroyed; the bytes may still be there
)

// PutAnalysis adds a document, or replaces the one with its id.
func (c *Catalog) PutAnalysis(ctx context.Context, a Analysis) error {
	if a.ID == "" || a.Recording == "" || a.WrittenAt.IsZero() || a.RetainUntil.IsZero() {
		return errors.New("put analysis: its id, recording, time or term is missing")
	}
	_, err := c.write.ExecContext(ctx, `INSERT INTO analyses (id, recording_id, class, kind, state, written_at, retain_until, object) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, retain_until = excluded.retain_until, object = excluded.object`,
		a.ID, a.Recording, a.Class, a.Kind, string(a.State), millis(a.WrittenAt), millis(a.RetainUntil), encode(a.Object))
	if err != nil {
		return fmt.Errorf("put analysis %s: %w", a.ID, err)
	}
	return nil
}

// GetAnalysis gives a document, or ErrNotFound.
func (c *Catalog) GetAnalysis(ctx context.Context, id string) (Analysis, error) {
	list, err := c.analyses(ctx, "WHERE id = ?", id)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Analysis{}, fmt.Errorf("get analysis %s: %w", id, err)
	}
	return list[0], nil
}

// Analyses lists the documents about a recording, the oldest first; "" lists all.
func (c *Catalog) Analyses(ctx context.Context, recording string) ([]Analysis, error) {
	list, err := c.analyses(ctx, "WHERE ? IN ('', recording_id) ORDER BY written_at, id", recording)
	if err != nil {
		return nil, fmt.Errorf("list analyses: %w", err)
	}
	return list, nil
}

// DueAnalyses lists the documents whose term has ended by a time, that still have a key, and whose recording nobody holds.
func (c *Catalog) DueAnalyses(ctx context.Context, by time.Time) ([]Analysis, error) {
	list, err := c.analyses(ctx, `WHERE state <> ? AND retain_until <= ?
		AND recording_id NOT IN (SELECT recording_id FROM held WHERE state <> 'lifted') ORDER BY retain_until`, string(AnalysisGone), by.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("list due analyses: %w", err)
	}
	return list, nil
}

// GoneAnalyses lists the documents whose key is destroyed, and whose bytes may be there.
func (c *Catalog) GoneAnalyses(ctx context.Context) ([]Analysis, error) {
	list, err := c.analyses(ctx, "WHERE state = ?", string(AnalysisGone))
	if err != nil {
		return nil, fmt.Errorf("list gone analyses: %w", err)
	}
	return list, nil
}

// DeleteAnalysis takes a document out of the catalog. One that is not there is no error.
func (c *Catalog) DeleteAnalysis(ctx context.Context, id string) error {
	if _, err := c.write.ExecContext(ctx, "DELETE FROM analyses WHERE id = ?", id); err != nil {
		return fmt.Errorf("delete analysis %s: %w", id, err)
	}
	return nil
}

func (c *Catalog) analyses(ctx context.Context, tail string, args ...any) ([]Analysis, error) {
	rows, err := c.read.QueryContext(ctx, "SELECT id, recording_id, class, kind, state, written_at, retain_until, object FROM analyses "+tail, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Analysis
	for rows.Next() {
		var a Analysis
		var state, object string
		var written, retain int64
		if err := rows.Scan(&a.ID, &a.Recording, &a.Class, &a.Kind, &state, &written, &retain, &object); err != nil {
			return nil, err
		}
		a.State, a.WrittenAt, a.RetainUntil = AnalysisState(state), fromMillis(written), fromMillis(retain)
		if err := decode(object, &a.Object); err != nil {
			return nil, fmt.Errorf("analysis %s: %w", a.ID, err)
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

// NextTerm is when the earliest term after a time ends of what still has a key, recordings and documents; zero when there is none.
func (c *Catalog) NextTerm(ctx context.Context, after time.Time) (time.Time, error) {
	var next sql.NullInt64
	err := c.read.QueryRowContext(ctx, `SELECT MIN(term) FROM (
		SELECT MIN(retain_until) AS term FROM recordings WHERE state IN ('stored', 'locked') AND retain_until > ?
		UNION ALL SELECT MIN(retain_until) FROM analyses WHERE state <> ? AND retain_until > ?) terms`,
		after.UnixMilli(), string(AnalysisGone), after.UnixMilli()).Scan(&next)
	if err != nil {
		return time.Time{}, fmt.Errorf("find the next term: %w", err)
	}
	return fromMillis(next.Int64), nil
}
