package catalog

import (
	"context"
	"errors"
	"fmt"
)

// Check reads the whole catalog and tells what is wrong with it: what the database finds itself, references, rows that cannot be read, and
// recordings that a search would miss. What it finds is repaired by emptying it, and rebuilding the catalog from the store.
func (c *Catalog) Check(ctx context.Context) error {
	var errs []error
	found, err := c.read.damage(ctx, c.read)
	if err != nil {
		return fmt.Errorf("check catalog: %w", err)
	}
	for _, text := range found {
		errs = append(errs, errors.New(text))
	}
	for r, err := range c.All(ctx) {
		if err != nil {
			errs = append(errs, err)
			break
		}
		if err := r.validate(); err != nil {
			errs = append(errs, err)
		}
		if err := c.checkSearch(ctx, r); err != nil {
			errs = append(errs, fmt.Errorf("recording %s: %w", r.ID, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("check catalog: %w", err)
	}
	return nil
}

// checkSearch compares the rows that searches use with the recording.
func (c *Catalog) checkSearch(ctx context.Context, r Recording) error {
	want := make([]string, 0, len(r.Participants)+len(r.CallIDs))
	for _, p := range r.Participants {
		want = append(want, searchText(p)+"\n"+numberKey(p.Number))
	}
	for _, id := range r.CallIDs {
		want = append(want, idKey(id))
	}
	want = append(want, r.Links...)
	for i := range want {
		want[i] = storable(want[i])
	}
	rows, err := c.read.QueryContext(ctx, `SELECT 1 AS kind, position, search || CAST(? AS TEXT) || number AS text FROM participants WHERE recording_id = ?
		UNION ALL SELECT 2, position, call_id FROM call_ids WHERE recording_id = ?
		UNION ALL SELECT 3, position, link FROM links WHERE recording_id = ? ORDER BY kind, position`, "\n", r.ID, r.ID, r.ID)
	if err != nil {
		return err
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var kind, position int
		var text string
		if err := rows.Scan(&kind, &position, &text); err != nil {
			return err
		}
		got = append(got, text)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(got) < len(want) {
		return fmt.Errorf("%d search rows are missing", len(want)-len(got))
	}
	for i, text := range got {
		if i >= len(want) || want[i] != text {
			return fmt.Errorf("search rows differ from the recording at %q", text)
		}
	}
	return nil
}
