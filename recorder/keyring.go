package recorder

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/storage/seal"
)

// Types of the events of the keys as a whole. They have no subject.
const (
	EventKeysRotated  = "keys.rotated"  // every key was wrapped by another key-encryption key
	EventKeysReplayed = "keys.replayed" // destroyed keys were there again, and were destroyed again
	EventKeysRetired  = "keys.retired"  // key-encryption keys that nothing needs any more were destroyed
	EventKeysMoved    = "keys.moved"    // keys and tombstones were brought from a directory to a shared place, and destroyed there
)

// rotatedData is the data of EventKeysRotated and EventKeysRetired.
type rotatedData struct {
	To      string   `json:"to,omitempty"` // id of the new key-encryption key
	From    []string `json:"from"`         // of those before
	Resumed bool     `json:"resumed,omitempty"`
	*seal.Rotated
	Error string `json:"error,omitempty"`
}

// RotateKeys wraps every key by a new key-encryption key, or goes on with that where it was cut off. No recording is touched, and all
// can be read meanwhile. Keys that cannot be unwrapped are counted, and the rotation then has not ended.
func (a *Archive) RotateKeys(ctx context.Context, actor string, progress func(seal.Rotated)) (seal.Rotation, seal.Rotated, error) {
	if err := a.Keys.Check(ctx); err != nil {
		return seal.Rotation{}, seal.Rotated{}, fmt.Errorf("rotate keys: %w", err)
	}
	before, err := a.Keys.Status(ctx)
	if err != nil {
		return seal.Rotation{}, seal.Rotated{}, err
	}
	data := rotatedData{From: before.KEKs}
	if before.Rotation != nil {
		data = rotatedData{To: before.Rotation.To, From: before.Rotation.From, Resumed: true}
	}
	if err := a.witness(ctx, EventKeysRotated, "", actor, audit.Intended, data); err != nil {
		return seal.Rotation{}, seal.Rotated{}, err
	}
	r, err := a.Keys.BeginRotation(ctx)
	var done seal.Rotated
	if err == nil {
		data.To, data.From = r.To, r.From
		done, err = a.Keys.Rotate(ctx, r, progress)
		data.Rotated = &done
	}
	outcome := audit.Done
	if err != nil || done.Failed > 0 {
		outcome = audit.Failed
	}
	if err != nil {
		data.Error = fmt.Sprintf("%T", rootCause(err))
	}
	if witnessed := a.witness(context.WithoutCancel(ctx), EventKeysRotated, "", actor, outcome, data); witnessed != nil {
		return r, done, witnessed
	}
	return r, done, err
}

// RetireKeys destroys key-encryption keys that no key needs any more.
func (a *Archive) RetireKeys(ctx context.Context, ids []string, actor string) error {
	data := rotatedData{From: ids}
	return a.do(ctx, EventKeysRetired, "", actor, data, func() (any, error) { return data, a.Keys.Retire(ctx, ids) })
}

// A KeysReplay is what ReplayKeys found and did.
type KeysReplay struct {
	Ended      int `json:"ended"`      // keys that the audit log says are destroyed
	Destroyed  int `json:"destroyed"`  // of these, those that were there again
	Tombstones int `json:"tombstones"` // and those whose tombstone was missing
}

// MoveKeys brings the keys and tombstones of a directory to the shared place. What was cut off goes on when it is called again.
func (a *Archive) MoveKeys(ctx context.Context, actor string, progress func(seal.Moved)) (done seal.Moved, err error) {
	err = a.do(ctx, EventKeysMoved, "", actor, done, func() (any, error) {
		var err error
		done, err = a.Keys.Move(ctx, progress)
		return done, err
	})
	return done, err
}

// ReplayKeys destroys every key that the audit log says was destroyed, and every one that lies beside its tombstone: a backup of the
// keys that was put back brings nothing back. Nothing is witnessed when nothing was to be done.
func (a *Archive) ReplayKeys(ctx context.Context) (KeysReplay, error) {
	var rep KeysReplay
	ended, err := a.endedKeys(ctx)
	if err != nil {
		return rep, err
	}
	there, err := a.Keys.Survey(ctx)
	if err != nil {
		return rep, fmt.Errorf("replay destroyed keys: %w", err)
	}
	if a.Audit != nil {
		if err := a.Keys.Clean(ctx); err != nil {
			return rep, fmt.Errorf("replay destroyed keys: %w", err)
		}
	}
	var again []string
	for _, id := range slices.Sorted(maps.Keys(ended)) {
		key, tombstone := there.Keys[id], there.Tombstones[id]
		rep.Ended++
		if key {
			rep.Destroyed++
		}
		if !tombstone {
			rep.Tombstones++
		}
		if key || !tombstone {
			again = append(again, id)
		}
	}
	if len(again) == 0 || a.Audit == nil {
		return rep, nil
	}
	return rep, a.do(ctx, EventKeysReplayed, "", "", rep, func() (any, error) {
		for _, id := range again {
			if err := a.Keys.Destroy(ctx, id); err != nil {
				return nil, err
			}
		}
		return rep, nil
	})
}

// endedKeys reads in the audit log which keys were destroyed, those of documents among them.
func (a *Archive) endedKeys(ctx context.Context) (map[string]bool, error) {
	ended := map[string]bool{}
	for e, err := range audit.Read(a.AuditDir) {
		if err := cmp.Or(ctx.Err(), err); err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		if e.Outcome != audit.Done {
			continue
		}
		switch e.Type {
		case EventExpired, EventDestroyed:
			ended[e.Subject] = true
		case EventAnalysisExpired:
			var d expiredData
			if err := json.Unmarshal(e.Data, &d); err != nil {
				return nil, fmt.Errorf("read entry %d: %w", e.Seq, err)
			}
			ended[d.Document] = true
		}
	}
	delete(ended, "")
	return ended, nil
}
