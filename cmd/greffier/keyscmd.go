package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/greffier/greffier/storage/seal"
)

type keysCmd struct {
	Status keysStatusCmd `cmd:"" help:"Show which key-encryption keys there are, and how many keys each wraps."`
	Rotate keysRotateCmd `cmd:"" help:"Wrap every key by a new key-encryption key."`
	Replay keysReplayCmd `cmd:"" help:"Destroy again what the audit log says was destroyed, as after a restore."`
	Move   keysMoveCmd   `cmd:"" help:"Bring the keys of the data directory to where keys.store says."`
}

type keysStatusCmd struct {
	located
	JSON bool `name:"json" help:"Print JSON."`
}

// keysStatus is what `keys status --json` prints.
type keysStatus struct {
	KEK       string       `json:"kek"`   // as configured
	Store     string       `json:"store"` // as configured
	KEKs      []kekStatus  `json:"keks"`
	Unnamed   int          `json:"unnamed"` // keys that an older version wrapped, which name no key-encryption key
	Destroyed int          `json:"destroyed"`
	Waiting   int          `json:"waiting"` // keys on this machine only, where the store is not dir
	Rotation  *rotatedKeys `json:"rotation,omitempty"`
	Problem   string       `json:"problem,omitempty"` // why the key-encryption key cannot be used now
}

type kekStatus struct {
	ID      string    `json:"id"`
	Wraps   bool      `json:"wraps"` // what is new
	Known   bool      `json:"known"` // it can be unwrapped with
	Keys    int       `json:"keys"`
	Service string    `json:"service,omitempty"`
	Created time.Time `json:"created,omitzero"`
}

func (c keysStatusCmd) Run(ctx context.Context, s streams) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	p, err := openParts(ctx, cfg, reads)
	if err != nil {
		return err
	}
	defer p.Close()
	status, err := p.archive.Keys.Status(ctx)
	if err != nil {
		return err
	}
	members := map[string]seal.Member{}
	if p.ring != nil {
		list, err := p.ring.Members(ctx)
		if err != nil {
			return err
		}
		for _, m := range list {
			members[m.ID] = m
		}
	}
	out := keysStatus{KEK: cfg.Keys.KEK, Store: cfg.Keys.Store, Waiting: status.Waiting, Unnamed: status.Wrapped[""], Destroyed: status.Destroyed}
	for i, id := range status.KEKs {
		out.KEKs = append(out.KEKs, kekStatus{ID: id, Wraps: i == 0, Known: true, Keys: status.Wrapped[id], Service: members[id].Service, Created: members[id].Created})
	}
	for _, id := range slices.Sorted(maps.Keys(status.Wrapped)) {
		if id != "" && !slices.Contains(status.KEKs, id) {
			out.KEKs = append(out.KEKs, kekStatus{ID: id, Keys: status.Wrapped[id]})
		}
	}
	if r := status.Rotation; r != nil {
		out.Rotation = &rotatedKeys{To: r.To, From: r.From}
	}
	if err := p.archive.Keys.Check(ctx); err != nil {
		out.Problem = err.Error()
	}
	return tell(s.out, c.JSON, out, out.text())
}

func (k keysStatus) text() string {
	var b strings.Builder
	for _, each := range k.KEKs {
		what := "unwraps"
		switch {
		case each.Wraps:
			what = "wraps what is new"
		case !each.Known:
			what = "MISSING: name its service in keys.former, or restore it"
		}
		fmt.Fprintf(&b, "%s  %6d keys  %s", each.ID, each.Keys, what)
		if each.Service != "" {
			fmt.Fprintf(&b, "  %s  %s", each.Created.Format(time.RFC3339), each.Service)
		}
		b.WriteString("\n")
	}
	if k.Unnamed > 0 {
		fmt.Fprintf(&b, "%d keys were wrapped by an older version, and name no key-encryption key\n", k.Unnamed)
	}
	fmt.Fprintf(&b, "%d keys are destroyed", k.Destroyed)
	if k.Waiting > 0 {
		fmt.Fprintf(&b, "\n%d keys are on this machine only: of calls that have not been stored, or from before keys.store was %s (`greffier keys move`)", k.Waiting, k.Store)
	}
	if k.Rotation != nil {
		fmt.Fprintf(&b, "\na rotation to %s was cut off: run `greffier keys rotate` again", k.Rotation.To)
	}
	if k.Problem != "" {
		fmt.Fprintf(&b, "\nPROBLEM: %s", k.Problem)
	}
	return b.String()
}

type keysRotateCmd struct {
	located
	Retire bool `help:"Destroy the old key-encryption keys afterwards. Backups of the keys from before cannot be opened then."`
	JSON   bool `name:"json" help:"Print JSON."`
}

func (keysRotateCmd) Help() string {
	return "No recording is touched, and the server may run. What was cut off goes on when the command is given again. After a change of keys.kek this moves every key to the new one."
}

// rotatedKeys is what `keys rotate --json` prints.
type rotatedKeys struct {
	To      string   `json:"to"`
	From    []string `json:"from"`
	Resumed bool     `json:"resumed,omitempty"`
	Retired bool     `json:"retired,omitempty"`
	seal.Rotated
}

func (c keysRotateCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	each := progress(s.err, "keys done")
	r, done, err := p.archive.RotateKeys(ctx, operator(), func(d seal.Rotated) { each(d.Rewrapped + d.Already + d.Failed) })
	if err != nil {
		return fmt.Errorf("%w (give the command again: it goes on where it was cut off)", err)
	}
	out := rotatedKeys{To: r.To, From: r.From, Resumed: r.Resumed, Rotated: done}
	if c.Retire && done.Failed == 0 {
		if err := p.archive.RetireKeys(ctx, r.From, operator()); err != nil {
			return err
		}
		out.Retired = true
	}
	text := fmt.Sprintf("%d keys are wrapped by %s now, %d were before", done.Rewrapped, r.To, done.Already)
	if err := tell(s.out, c.JSON, out, text); err != nil || done.Failed == 0 {
		return err
	}
	return errors.Join(fmt.Errorf("%d keys could not be wrapped anew, and need the old key-encryption key", done.Failed), done.Err)
}

type keysReplayCmd struct {
	located
	JSON bool `name:"json" help:"Print JSON."`
}

func (keysReplayCmd) Help() string {
	return "The server does this at each start. Do it after putting a backup of the keys back while the server runs."
}

func (c keysReplayCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	rep, err := p.archive.ReplayKeys(ctx)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%d keys are destroyed by the audit log; %d were there again, %d tombstones were missing", rep.Ended, rep.Destroyed, rep.Tombstones)
	return tell(s.out, c.JSON, rep, text)
}

type keysMoveCmd struct {
	located
	JSON bool `name:"json" help:"Print JSON."`
}

func (keysMoveCmd) Help() string {
	return "Set keys.store and restart the server first: it finds keys in both places. Each key is destroyed here when it is there. The server may run; what was cut off goes on when the command is given again."
}

func (c keysMoveCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	each := progress(s.err, "moved")
	done, err := p.archive.MoveKeys(ctx, operator(), func(d seal.Moved) { each(d.Keys + d.Tombstones) })
	if err != nil {
		return fmt.Errorf("%w (give the command again: it goes on where it was cut off)", err)
	}
	return tell(s.out, c.JSON, done, fmt.Sprintf("%d keys and %d tombstones are where keys.store says", done.Keys, done.Tombstones))
}
