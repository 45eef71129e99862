package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/spool"
)

// termGrace is how long after its term a key may be there, and bytes that no lock protects, before that is a problem: as long as a
// server may be away.
const termGrace = time.Hour

// succeed gives a recording that was made of another, by a redaction, what the log tells of the other.
func succeed(stories map[string]story, e audit.Entry) error {
	if e.Type != EventRedacted || e.Outcome != audit.Intended {
		return nil
	}
	var d redactedData
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return err
	}
	if old := stories[e.Subject]; old.decided {
		stories[d.Recording] = story{decided: true, record: old.record, started: old.started, made: true}
	}
	return nil
}

func problems(err error) []string {
	if err == nil {
		return nil
	}
	return []string{err.Error()}
}

// verifyEnding tells whether a recording is just being destroyed, or expires. It is left alone, and told of.
func (a *Archive) verifyEnding(ctx context.Context, row catalog.Recording, rep *VerifyReport) (bool, error) {
	d, doomed, err := a.Catalog.DoomOf(ctx, row.ID)
	if err != nil {
		return false, err
	}
	if late := a.now().Sub(row.RetainUntil); !doomed && !row.RetainUntil.IsZero() && late >= 0 && late <= termGrace {
		if _, err := a.Keys.Get(ctx, row.ID); errors.Is(err, seal.ErrDestroyed) { // and the row is about to say so
			rep.Unfinished++
			return true, nil
		}
	}
	if !doomed {
		return false, nil
	}
	if err := a.heldError(ctx, row); errors.Is(err, catalog.ErrHeld) {
		rep.Notices = append(rep.Notices, fmt.Sprintf("%s: to be destroyed (%s) when its legal hold is released", row.ID, d.Reason))
		return false, nil
	}
	rep.Unfinished++
	rep.Notices = append(rep.Notices, fmt.Sprintf("%s: to be destroyed from %s on: %s", row.ID, d.At.Format(time.RFC3339), d.Reason))
	if late := a.now().Sub(d.At); late > termGrace {
		return true, fmt.Errorf("it was to be destroyed %s ago", late.Round(time.Second))
	}
	return true, nil
}

// verifyGone checks that nothing is left of a recording that is expired or destroyed but what the store still locks.
func (a *Archive) verifyGone(ctx context.Context, row catalog.Recording, p pair, s story) []string {
	var out []string
	if !s.gone {
		out = append(out, fmt.Sprintf("it is %s, and the audit log does not tell of that", row.State))
	}
	if _, err := a.Keys.Get(ctx, row.ID); !errors.Is(err, seal.ErrDestroyed) {
		out = append(out, fmt.Sprintf("it is %s, and its key is not destroyed", row.State))
	}
	if spool.Holds(a.SpoolDir, row.ID) {
		out = append(out, fmt.Sprintf("it is %s, and a spool file exists", row.State))
	}
	for _, o := range []storage.Info{p.audio, p.sidecar} {
		if o.Key != "" && row.State == catalog.StateErased {
			out = append(out, fmt.Sprintf("it is erased, and %s is in the store", o.Key))
			continue
		}
		ended := row.Gone.At
		if o.Retention.Until.After(ended) {
			ended = o.Retention.Until
		}
		if late := a.now().Sub(ended); o.Key != "" && !o.LegalHold && late > termGrace {
			out = append(out, fmt.Sprintf("it is %s, and %s could have been deleted %s ago", row.State, o.Key, late.Round(time.Second)))
		}
	}
	return out
}

// verifyTerms checks that a recording is locked when its quarantine is over, unless somebody has to look at it, and that its term is not.
func (a *Archive) verifyTerms(ctx context.Context, row catalog.Recording, rep *VerifyReport) []string {
	var out []string
	if late := a.now().Sub(row.RetainUntil); !row.RetainUntil.IsZero() && late > 0 && a.isHeld(ctx, row.ID) {
		rep.Notices = append(rep.Notices, fmt.Sprintf("%s: its term has ended, and a legal hold keeps it", row.ID))
	} else if !row.RetainUntil.IsZero() && late > termGrace {
		out = append(out, fmt.Sprintf("its term ended %s ago, and its key is there", late.Round(time.Second)))
	}
	late := a.now().Sub(row.QuarantineUntil)
	if row.State != catalog.StateStored || row.LockMode == string(policy.NoLock) || late <= 0 {
		return out
	}
	review, err := a.Catalog.ReviewOf(ctx, row.ID)
	_, doomed, doomErr := a.Catalog.DoomOf(ctx, row.ID)
	switch err := errors.Join(err, doomErr); {
	case doomed, a.now().After(row.RetainUntil): // and held, or about to be gone
	case err != nil:
		out = append(out, err.Error())
	case suspected(row, review):
		rep.Notices = append(rep.Notices, fmt.Sprintf("%s: not locked before somebody listens and releases it", row.ID))
	case late > quarantineGrace && a.now().Sub(review.ReleasedAt) > quarantineGrace && a.now().Sub(review.BusyUntil) > quarantineGrace:
		out = append(out, fmt.Sprintf("its quarantine ended %s ago, and it is not locked", late.Round(time.Second)))
	}
	return out
}

// isHeld tells whether a legal hold keeps a recording, and what is written about it.
func (a *Archive) isHeld(ctx context.Context, id string) bool {
	list, err := a.Catalog.HoldsOf(ctx, id)
	return err == nil && len(list) > 0
}

func (a *Archive) isAnalysis(ctx context.Context, id string) bool {
	_, err := a.Catalog.GetAnalysis(ctx, id)
	return err == nil
}

// verifyAnalyses reads every document whole, and looks for those that the catalog does not know.
func (a *Archive) verifyAnalyses(ctx context.Context, rep *VerifyReport) error {
	docs, err := a.Catalog.Analyses(ctx, "")
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, doc := range docs {
		known[doc.ID] = true
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.verifyAnalysis(ctx, doc, rep); err == nil {
			continue
		} else if now, nowErr := a.Catalog.GetAnalysis(ctx, doc.ID); nowErr == nil && now.State == doc.State {
			rep.problem("%s: document %s: %v", doc.Recording, doc.ID, err)
		}
	}
	for info, err := range a.Store.List(ctx, storage.DocumentPrefix) {
		if err != nil && info.Key == "" {
			return fmt.Errorf("list documents: %w", err)
		}
		if id := path.Base(path.Dir(info.Key)); !known[id] && !a.isAnalysis(ctx, id) {
			rep.problem("%s: a document in the store, and not in the catalog (`greffier catalog rebuild` mends it)", info.Key)
		}
	}
	return nil
}

func (a *Archive) verifyAnalysis(ctx context.Context, doc catalog.Analysis, rep *VerifyReport) error {
	_, keyErr := a.Keys.Get(ctx, doc.ID)
	_, doomed, err := a.Catalog.DoomOf(ctx, doc.Recording)
	if err != nil {
		return err
	}
	switch late := a.now().Sub(doc.RetainUntil); {
	case errors.Is(keyErr, seal.ErrDestroyed) && doc.State != catalog.AnalysisGone && late <= termGrace && (late >= 0 || doomed):
		return nil // it is just ending, and the row is about to say so
	case doc.State == catalog.AnalysisGone && !errors.Is(keyErr, seal.ErrDestroyed):
		return errors.New("it is gone, and its key is not destroyed")
	case doc.State == catalog.AnalysisGone && late > termGrace:
		return fmt.Errorf("its term ended %s ago, and its bytes are there", late.Round(time.Second))
	case doc.State == catalog.AnalysisGone:
		return nil
	case late > termGrace && a.isHeld(ctx, doc.Recording):
		return nil // and its row tells of that
	case late > termGrace:
		return fmt.Errorf("its term ended %s ago, and its key is there", late.Round(time.Second))
	case doc.State == catalog.AnalysisWriting:
		rep.Notices = append(rep.Notices, fmt.Sprintf("%s: document %s was never written whole; its term ends it", doc.Recording, doc.ID))
		return nil
	}
	rep.Documents++
	return a.verifyObject(ctx, doc.ID, storage.Ref{Key: doc.Object.Key, VersionID: doc.Object.Version}, doc.Object.SHA256, doc.Object.PlainSHA256)
}
