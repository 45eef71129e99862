package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/storage"
)

// witnessed are the kinds of findings that become events.
func witnessed() []FindingKind {
	return []FindingKind{RetentionOverdue, RetentionEarlyLoss, Orphan, HashMismatch}
}

// findingData is the data of a finding's event. A key that is none of ours may be anything, and stands in it as a keyed hash.
type findingData struct {
	Object  string `json:"object,omitempty"`
	Version string `json:"version,omitempty"`
}

// witnessRound writes the events of a round, in one commit.
func (a *Archive) witnessRound(ctx context.Context, rep VerifyReport, began time.Time) error {
	told, err := a.toldToday(ctx)
	if err != nil && len(rep.Problems) == 0 { // a damaged log is a finding, and keeps none from being told
		return err
	}
	now := a.now()
	done := Round{
		Began: began.UTC(), Entries: rep.Entries, Head: rep.Head, Recordings: rep.Recordings, Documents: rep.Documents, Versions: rep.Versions, Findings: rep.Count(),
	}
	var events []audit.Event
	for _, f := range rep.Problems {
		if !slices.Contains(witnessed(), f.Kind) {
			continue
		}
		e := audit.Event{Time: now, Type: string(f.Kind), Subject: a.words().subject(f.ID), Data: findingData{Object: a.words().objectName(f.Object), Version: f.Version}}
		switch name := toldName(e.Type, e.Subject, e.Data.(findingData)); {
		case told[name]:
		case len(events) == MaxTold:
			done.Untold++
		default:
			told[name] = true
			events = append(events, e)
		}
	}
	_, err = a.Audit.AppendAll(ctx, append(events, audit.Event{Time: now, Type: EventVerified, Data: done})...)
	if err != nil {
		return fmt.Errorf("witness %s: %w", EventVerified, err)
	}
	return nil
}

// toldToday names the findings that were witnessed since the day began, by the clock's own time zone.
func (a *Archive) toldToday(ctx context.Context) (map[string]bool, error) {
	y, m, d := a.now().Date()
	since, told := time.Date(y, m, d, 0, 0, 0, 0, a.now().Location()), map[string]bool{}
	for e, err := range audit.Read(a.AuditDir) {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return told, fmt.Errorf("read audit log: %w", err)
		}
		if e.Time.Before(since) || !slices.Contains(witnessed(), FindingKind(e.Type)) {
			continue
		}
		var data findingData
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return told, fmt.Errorf("read entry %d: %w", e.Seq, err)
		}
		told[toldName(e.Type, e.Subject, data)] = true
	}
	return told, nil
}

// toldName is equal for findings that are told once a day.
func toldName(typ, id string, d findingData) string {
	return strings.Join([]string{typ, id, d.Object, d.Version}, "\x00")
}

// objectName is a key as it may stand in the log.
func (w *words) objectName(key string) string {
	if key == "" || isOurs(key) {
		return key
	}
	return w.hash(key)
}

// subject is the id of a recording as it may stand in the log: what somebody put among our objects and keys may have any name.
func (w *words) subject(id string) string {
	if _, err := uuid.Parse(id); id == "" || err == nil {
		return id
	}
	return w.hash(id)
}

// isOurs tells whether a key is one that this program makes: nothing stands in it but a class, a day and ids.
func isOurs(key string) bool {
	parts := strings.Split(key, "/")
	name := path.Base(key)
	var ids []string
	switch {
	case strings.HasPrefix(key, storage.RecordingPrefix) && len(parts) == 7 && (name == sidecarName || isAudioName(name)):
		ids = parts[len(parts)-2 : len(parts)-1]
	case strings.HasPrefix(key, storage.DocumentPrefix) && len(parts) == 8 && name == parts[6]+".json.age":
		ids = parts[5:7]
	default:
		return false
	}
	if _, err := time.Parse("2006/01/02", strings.Join(parts[2:5], "/")); err != nil {
		return false
	}
	return !slices.ContainsFunc(ids, func(id string) bool { _, err := uuid.Parse(id); return err != nil })
}
