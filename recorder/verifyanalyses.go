package recorder

import (
	"context"
	"errors"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
)

func (a *Archive) isAnalysis(ctx context.Context, id string) bool {
	_, err := a.Catalog.GetAnalysis(ctx, id)
	return err == nil
}

// analyses reads every document whole.
func (v *verification) analyses(ctx context.Context) error {
	docs, err := v.Catalog.Analyses(ctx, "")
	if err != nil {
		return err
	}
	for _, doc := range docs {
		if err := v.pace(ctx, 0); err != nil {
			return err
		}
		f := findings{id: doc.Recording}
		if err := v.analysis(ctx, doc, &f); err != nil {
			return err
		}
		if err := errors.Join(v.ended, ctx.Err()); err != nil {
			return err
		}
		switch now, err := v.Catalog.GetAnalysis(ctx, doc.ID); { // beside a running recorder
		case err == nil && now.State == doc.State:
			v.rep.Problems = append(v.rep.Problems, f.list...)
		case err != nil && !errors.Is(err, catalog.ErrNotFound):
			return err
		}
	}
	return nil
}

// analysis checks one document against its key, its term and the store.
func (v *verification) analysis(ctx context.Context, doc catalog.Analysis, f *findings) error {
	_, keyErr := v.Keys.Get(ctx, doc.ID)
	_, doomed, err := v.Catalog.DoomOf(ctx, doc.Recording)
	if err != nil {
		return err
	}
	held, err := v.isHeld(ctx, doc.Recording)
	if err != nil {
		return err
	}
	ref := storage.Ref{Key: doc.Object.Key, VersionID: doc.Object.Version}
	switch late := v.now().Sub(doc.RetainUntil); {
	case errors.Is(keyErr, seal.ErrUnavailable):
		return keyErr
	case errors.Is(keyErr, seal.ErrDestroyed) && doc.State != catalog.AnalysisGone && late <= termGrace && (late >= 0 || doomed):
		return nil // it is just ending, and the row is about to say so
	case doc.State == catalog.AnalysisGone && !errors.Is(keyErr, seal.ErrDestroyed):
		f.addAt(RetentionOverdue, ref, "document %s: it is gone, and its key is not destroyed", doc.ID)
	case doc.State == catalog.AnalysisGone && late > termGrace:
		f.addAt(RetentionOverdue, ref, "document %s: its term ended %s ago, and its bytes are there", doc.ID, late.Round(time.Second))
	case doc.State == catalog.AnalysisGone:
	case late > termGrace && held: // and its row tells of that
	case late > termGrace:
		f.addAt(RetentionOverdue, ref, "document %s: its term ended %s ago, and its key is there", doc.ID, late.Round(time.Second))
	case doc.State == catalog.AnalysisWriting:
		v.rep.notice("%s: document %s was never written whole; its term ends it", doc.Recording, doc.ID)
	case keyErr != nil:
		f.addAt(RetentionEarlyLoss, ref, "document %s: its key: %v", doc.ID, keyErr)
	default:
		v.rep.Documents++
		v.document(ctx, doc, ref, f)
	}
	return nil
}

// document reads a document whole.
func (v *verification) document(ctx context.Context, doc catalog.Analysis, ref storage.Ref, f *findings) {
	err := v.sealed(ctx, ref, doc.Object.SHA256)
	if err == nil {
		err = v.opened(ctx, doc.ID, ref, doc.Object.PlainSHA256)
	}
	if err != nil {
		if kind := v.kindOf(ctx, err); kind != "" {
			f.addAt(kind, ref, "document %s: %v", doc.ID, err)
		}
		return
	}
	info, err := v.Store.Stat(ctx, ref)
	if err != nil {
		return // it was there just now
	}
	if text := clearDiffers(info, analysisMeta(doc.ID, doc.Recording, doc.Class, doc.RetainUntil)); text != "" {
		f.addAt(HashMismatch, ref, "document %s: %s", doc.ID, text)
	}
}
