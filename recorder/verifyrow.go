package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/spool"
)

// A check compares one row of the catalog with what the store has, and what the audit log tells.
type check struct {
	*verification
	findings
	row   catalog.Recording
	pair  pair
	story story
	rep   VerifyReport // of this row alone
}

// whole looks at the row as what it says it is.
func (c *check) whole(ctx context.Context) {
	switch s := c.story; {
	case !s.decided && c.pair.empty() && !c.named[c.row.ID]:
		c.add(Orphan, "a row of which neither the audit log nor the store knows")
		return
	case !s.decided:
		c.add(AuditMismatch, "no decision in the audit log")
		return
	case s.undone && s.started && !s.cancelled:
		c.add(RetentionEarlyLoss, "the SRC was told that it is recorded, and the recording was thrown away")
		return
	}
	switch c.row.State {
	case catalog.StateNotRecorded:
		c.rep.NotRecorded++
		c.nothing(ctx)
		return
	case catalog.StateExpired, catalog.StateDestroyed, catalog.StateShredded, catalog.StateErased:
		c.rep.Gone++
		c.gone(ctx)
		return
	}
	if c.ending(ctx) {
		return
	}
	switch c.row.State {
	case catalog.StateRecording, catalog.StateFinishing:
		c.rep.Unfinished++
		if !spool.Holds(c.SpoolDir, c.row.ID) && !c.story.undone {
			c.add(RetentionEarlyLoss, "unfinished, and not in the spool")
		}
	case catalog.StateStored, catalog.StateLocked:
		c.rep.Recordings++
		c.recording(ctx)
	default:
		c.add(CatalogMismatch, "it is %s, which this version never makes it", c.row.State)
	}
}

// nothing checks that a call that was not recorded left nothing.
func (c *check) nothing(ctx context.Context) {
	if c.story.record {
		c.add(CatalogMismatch, "the catalog says not recorded, the audit log says recorded")
	}
	for _, o := range []storage.Info{c.pair.audio, c.pair.sidecar} {
		if o.Key != "" {
			c.addAt(Orphan, o.Ref, "not recorded, and %s is in the store", o.Key)
		}
	}
	if _, err := c.Keys.Get(ctx, c.row.ID); !errors.Is(err, seal.ErrNotFound) {
		c.add(Orphan, "not recorded, and a key exists")
	}
	if spool.Holds(c.SpoolDir, c.row.ID) {
		c.add(Orphan, "not recorded, and a spool file exists")
	}
}

// recording reads both objects of a recording whole.
func (c *check) recording(ctx context.Context) {
	row, s := c.row, c.story
	if !s.record || !s.stored {
		c.add(AuditMismatch, "the audit log does not tell of its storing")
	}
	if c.mustBeLocked() && !s.locked {
		c.add(AuditMismatch, "the audit log does not tell of its locking")
	}
	c.terms(ctx)
	if there := c.isThere(c.pair.audio, row.Audio, s.objects.Audio); !c.isThere(c.pair.sidecar, row.Sidecar, s.objects.Sidecar) || !there {
		return
	}
	c.held(ctx)
	audio, sidecar := c.pair.audio.Ref, c.pair.sidecar.Ref
	intact := c.intact(ctx, audio, "audio", row.Audio.SHA256)
	if !c.intact(ctx, sidecar, "sidecar", row.Sidecar.SHA256) || !intact || !c.opens(ctx) {
		return
	}
	c.contents(ctx)
}

// contents opens both objects, and compares what is in them with everything else.
func (c *check) contents(ctx context.Context) {
	row, s := c.row, c.story
	side, err := c.sidecar(ctx, row)
	if err != nil {
		c.unreadable(ctx, c.pair.sidecar.Ref, "sidecar", err)
		return
	}
	if s.stored && side.Audio.SHA256 != s.objects.PlainSHA256 || side.Audio.SealedSHA256 != row.Audio.SHA256 {
		c.addAt(HashMismatch, c.pair.audio.Ref, "the sidecar's hashes of the audio are not those that it was stored with")
	}
	if err := c.opened(ctx, row.ID, c.pair.audio.Ref, side.Audio.SHA256); err != nil {
		c.unreadable(ctx, c.pair.audio.Ref, "audio", err)
	}
	c.inClear(c.pair.sidecar, objectMeta(side))
	c.inClear(c.pair.audio, audioMeta(side))
	want := c.words().storedRow(side, objectData{Audio: refOf(c.pair.audio), Sidecar: refOf(c.pair.sidecar)})
	want.State, want.LockedUntil = row.State, row.LockedUntil
	if !same(want, row) {
		c.add(CatalogMismatch, "the catalog's row is not what the sidecar says (`greffier catalog rebuild` mends it)")
	}
	c.locks(want.RetainUntil)
}

func (c *check) mustBeLocked() bool {
	return c.row.State == catalog.StateLocked && c.row.LockMode != string(policy.NoLock)
}

// isThere tells whether the store has one of a recording's objects, by what the catalog and the log say which that is.
func (c *check) isThere(got storage.Info, listed catalog.Object, told ObjectRef) bool {
	ref := storage.Ref{Key: listed.Key, VersionID: listed.Version}
	switch {
	case got.Key == "":
		c.addAt(RetentionEarlyLoss, ref, "%s is not in the store", listed.Key)
		return false
	case c.story.stored && (got.Key != told.Key || got.VersionID != told.VersionID):
		c.addAt(RetentionEarlyLoss, storage.Ref{Key: told.Key, VersionID: told.VersionID}, "the version of %s that the audit log tells of is not in the store", told.Key)
	case c.story.stored && refOf(got) != told:
		c.addAt(HashMismatch, got.Ref, "%s is not the object that the audit log tells of", got.Key)
	}
	if got.Ref != ref {
		c.addAt(CatalogMismatch, ref, "the store has %s, and the catalog names another version (`greffier catalog rebuild` mends it)", got.Key)
		return false
	}
	return true
}

// locks checks that a locked recording is locked for its term.
func (c *check) locks(until time.Time) {
	if !c.mustBeLocked() {
		return
	}
	for _, o := range []storage.Info{c.pair.audio, c.pair.sidecar} {
		if string(o.Retention.Mode) != c.row.LockMode || o.Retention.Until.Before(until) {
			c.addAt(RetentionEarlyLoss, o.Ref, "%s is locked %s until %s, and should be %s until %s", o.Key, o.Retention.Mode, o.Retention.Until, c.row.LockMode, until)
		} else if o.Retention.Until.After(until) {
			c.rep.notice("%s: locked longer than its class says, until %s", c.row.ID, o.Retention.Until)
		}
	}
}

// same compares two rows as they are shown.
func same(a, b catalog.Recording) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
