package recorder

import (
	"context"
	"errors"
	"fmt"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
)

// A Pace is asked after every piece that a verification has read, of n bytes, and slows it down by taking its time. Its error ends the
// verification.
type Pace func(ctx context.Context, n int64) error

// Verify reads every object of every recording, every key, the whole catalog and the whole audit log, and lists whatever
// disagrees. It changes nothing, and may run beside a recorder: what is in progress is left out. An error says that it could not be
// done: a store that is away is no finding.
func (a *Archive) Verify(ctx context.Context, progress func(done int)) (VerifyReport, error) {
	return a.VerifyAt(ctx, func(ctx context.Context, _ int64) error { return ctx.Err() }, progress)
}

// VerifyAt is Verify at a pace.
func (a *Archive) VerifyAt(ctx context.Context, pace Pace, progress func(done int)) (VerifyReport, error) {
	v := &verification{Archive: a, pace: pace, rep: VerifyReport{Problems: []Finding{}, Notices: []string{}}}
	if err := v.run(ctx, progress); err != nil {
		return v.rep, fmt.Errorf("verify: %w", err)
	}
	v.rep.sort()
	return v.rep, nil
}

// A verification is one that is under way.
type verification struct {
	*Archive
	pace Pace
	rep  VerifyReport

	pairs map[string]pair  // of the store, as it was listed last
	told  map[string]story // of the audit log, as it was read last
	named map[string]bool  // ids that the audit log has ever named, documents' among them
	ended error            // why it cannot go on
}

func (v *verification) run(ctx context.Context, progress func(done int)) error {
	// The log is read last: what was witnessed before it was done is then there for everything that was found.
	if err := v.Catalog.Check(ctx); err != nil {
		v.rep.problem(CatalogMismatch, "catalog: %v", err)
	}
	rows, err := v.Catalog.List(ctx, catalog.Query{})
	if err != nil {
		return fmt.Errorf("list catalog: %w", err)
	}
	if err := v.listen(ctx); err != nil {
		return err
	}
	v.log(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	doubtful, err := v.rows(ctx, rows, progress)
	if err != nil {
		return err
	}
	if err := v.again(ctx, doubtful); err != nil {
		return err
	}
	if err := v.strangers(ctx, rows); err != nil {
		return err
	}
	return errors.Join(v.versions(ctx), v.analyses(ctx), v.holds(ctx), v.erasures(ctx), v.ended)
}

// listen lists the store, and then reads the log.
func (v *verification) listen(ctx context.Context) error {
	pairs, problems, err := v.Archive.pairs(ctx)
	if err != nil {
		return err
	}
	for _, p := range problems {
		if p.Kind != Orphan { // those the walk through all versions tells of
			v.rep.Problems = append(v.rep.Problems, p)
		}
	}
	v.pairs = pairs
	v.told, v.named, err = v.stories(ctx)
	if err != nil {
		v.rep.problem(AuditMismatch, "audit log: %v", err)
	}
	return ctx.Err()
}

// log reads the audit log by its chain.
func (v *verification) log(ctx context.Context) {
	log, err := audit.VerifyContext(ctx, v.AuditDir)
	if err != nil {
		v.rep.problem(AuditMismatch, "audit log: %v", err)
	}
	v.rep.Entries, v.rep.Head = log.Entries, log.Head
	if log.Torn > 0 || log.Uncovered > 0 {
		v.rep.notice("audit log: a crash left %d bytes and %d entries that nobody was told of; the next entry puts it in order", log.Torn, log.Uncovered)
	}
}

// rows looks at every row once, and gives the ids of those with which something seems wrong.
func (v *verification) rows(ctx context.Context, rows []catalog.Recording, progress func(done int)) (doubtful []string, err error) {
	for _, row := range rows {
		one, err := v.row(ctx, row)
		if err != nil {
			return nil, err
		}
		if len(one.Problems) > 0 {
			doubtful = append(doubtful, row.ID)
			continue
		}
		v.rep.add(one)
		progress(v.rep.Recordings)
	}
	return doubtful, nil
}

// again looks a second time at what seemed wrong: beside a running recorder much may have moved on since store, log and row were read,
// and only what is still so is believed.
func (v *verification) again(ctx context.Context, ids []string) error {
	var rows []catalog.Recording
	for _, id := range ids {
		row, err := v.Catalog.Get(ctx, id)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil
	}
	if err := v.listen(ctx); err != nil {
		return err
	}
	for _, row := range rows {
		one, err := v.row(ctx, row)
		if err != nil {
			return err
		}
		switch now, err := v.Catalog.Get(ctx, row.ID); {
		case errors.Is(err, catalog.ErrNotFound), err == nil && now.State != row.State:
			one.Problems = nil
		case err != nil:
			return err
		}
		v.rep.add(one)
	}
	return nil
}

// row checks one row of the catalog against everything else.
func (v *verification) row(ctx context.Context, row catalog.Recording) (VerifyReport, error) {
	if err := v.pace(ctx, 0); err != nil {
		return VerifyReport{}, err
	}
	c := check{verification: v, row: row, pair: v.pairs[row.ID], story: v.told[row.ID], findings: findings{id: row.ID}}
	c.whole(ctx)
	c.rep.Problems = c.list
	return c.rep, errors.Join(v.ended, ctx.Err())
}

// stop notes why the verification cannot go on.
func (v *verification) stop(err error) { v.ended = errors.Join(v.ended, err) }
