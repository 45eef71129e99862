package catalog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// quotaOver is the reason for which a recording is doomed that lost its place.
const quotaOver = "quota_over"

// placeTime is how long a place is remembered: longer than the longest time that a quota counts in, a month, and the longest call.
const placeTime = 62 * 24 * time.Hour

// Settle settles a recording's claim to one of the places of a quota, which go to the lowest draws; equal draws are in the order of their
// recordings' ids. It tells whether the recording has a place, and which lost theirs to it: they are doomed in the same transaction, whoever
// settles at the same time. A recording that asks again gets the same answer and displaces nobody.
func (c *Catalog) Settle(ctx context.Context, quota string, calls int, draw, recording string) (has bool, displaced []string, err error) {
	if quota == "" || draw == "" || recording == "" || calls < 0 {
		return false, nil, errors.New("settle quota: key, draw or recording are missing")
	}
	err = c.write.inTx(ctx, func(ctx context.Context, tx tx) error {
		p := places{ctx: ctx, tx: tx, quota: quota, now: c.now()}
		has, displaced, err = p.settle(calls, draw, recording)
		return err
	}, "quota/"+quota)
	if err != nil {
		return false, nil, fmt.Errorf("settle quota: %w", err)
	}
	return has, displaced, nil
}

// places are those of one quota, in one transaction.
type places struct {
	ctx   context.Context
	tx    tx
	quota string
	now   time.Time
}

func (p places) settle(calls int, draw, recording string) (has bool, displaced []string, err error) {
	var taken, lower, own int
	err = p.tx.QueryRowContext(p.ctx, `SELECT COUNT(*), COUNT(*) FILTER (WHERE draw < ? OR draw = ? AND recording < ?), COUNT(*) FILTER (WHERE recording = ?)
		FROM places WHERE quota = ?`, draw, draw, recording, recording, p.quota).Scan(&taken, &lower, &own)
	switch {
	case err != nil:
		return false, nil, err
	case own > 0:
		return true, nil, nil
	case lower >= calls && taken <= calls: // the usual no: nothing is written
		return false, nil, nil
	}
	if err := p.take(draw, recording); err != nil {
		return false, nil, err
	}
	beyond, err := p.beyond(calls)
	if err != nil {
		return false, nil, err
	}
	has = true
	for _, id := range beyond {
		if _, err := p.tx.ExecContext(p.ctx, "DELETE FROM places WHERE quota = ? AND recording = ?", p.quota, id); err != nil {
			return false, nil, err
		}
		if id == recording {
			has = false
			continue
		}
		if _, err := p.tx.ExecContext(p.ctx, insertDoom, id, quotaOver, p.now.UnixMilli()); err != nil {
			return false, nil, err
		}
		displaced = append(displaced, id)
	}
	return has, displaced, nil
}

// take takes a place, whether there is one or not, and forgets those of times long over.
func (p places) take(draw, recording string) error {
	if _, err := p.tx.ExecContext(p.ctx, "DELETE FROM places WHERE taken_at < ?", p.now.Add(-placeTime).UnixMilli()); err != nil {
		return err
	}
	_, err := p.tx.ExecContext(p.ctx, "INSERT INTO places (quota, recording, draw, taken_at) VALUES (?, ?, ?, ?)", p.quota, recording, draw, p.now.UnixMilli())
	return err
}

// beyond lists the recordings whose places are more than there may be, the lowest draw first.
func (p places) beyond(calls int) ([]string, error) {
	rows, err := p.tx.QueryContext(p.ctx, "SELECT recording FROM places WHERE quota = ? ORDER BY draw, recording LIMIT ? OFFSET ?", p.quota, math.MaxInt, calls)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
