package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
)

// metaRecording names the recording in the metadata of a document's object, and metaDocument the document.
const (
	metaRecording = "about-recording"
	metaDocument  = "document-id"
)

// analysisData is the data of EventAnalysisWritten, and of EventViewed when it is of a document.
type analysisData struct {
	Document string       `json:"document"`
	Kind     AnalysisKind `json:"kind"`
	Object   ObjectRef    `json:"object,omitzero"`
	Until    time.Time    `json:"until,omitzero"`
}

// Annotate stores a document about a recording, of which Kind and JSON or Text are given, and gives its id. It is kept as long as the
// class says from the call's end, or as long as the recording. A recording that is suspected to hold a card's number is not analysed
// before it is released: ErrUnderReview.
func (a *Archive) Annotate(ctx context.Context, id string, doc Analysis, actor string) (docID string, err error) {
	row, side, err := a.annotable(ctx, id, &doc)
	if err != nil {
		return "", fmt.Errorf("annotate recording: %w", err)
	}
	fresh, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("annotate recording: %w", err)
	}
	until := row.RetainUntil
	if !side.Class.AnalysisRetention.IsZero() {
		until = wholeSecond(side.Class.DocumentsUntil(side.Session.EndedAt))
	}
	if !until.After(a.now()) {
		return "", fmt.Errorf("annotate recording: %w: the term of its documents ended at %s", ErrRefused, until.Format(time.RFC3339))
	}
	doc.Format, doc.ID, doc.Recording, doc.Class = AnalysisFormat, fresh.String(), id, row.Class
	doc.WrittenAt, doc.WrittenBy, doc.RetainUntil, doc.Audio = utcMS(a.now()), actor, until, ""
	entry := catalog.Analysis{
		ID: doc.ID, Recording: id, Class: row.Class, Kind: string(doc.Kind), State: catalog.AnalysisWriting, WrittenAt: doc.WrittenAt, RetainUntil: until,
		Object: catalog.Object{Key: analysisKey(&doc, side.Session.StartedAt)},
	}
	data := analysisData{Document: doc.ID, Kind: doc.Kind, Until: until}
	err = a.do(ctx, EventAnalysisWritten, id, actor, data, func() (_ any, err error) {
		// The row is there first: what a crash leaves is found by it, and goes with its term.
		if err := a.Catalog.PutAnalysis(ctx, entry); err != nil {
			return nil, err
		}
		if entry.Object, err = a.putAnalysis(ctx, &doc, entry.Object.Key); err != nil {
			return nil, err
		}
		entry.State = catalog.AnalysisStored
		held, err := a.isHeld(ctx, id)
		if err != nil {
			return nil, err
		}
		if held {
			if err := a.Store.Hold(ctx, storage.Ref{Key: entry.Object.Key, VersionID: entry.Object.Version}, true); err != nil {
				return nil, err
			}
		}
		data.Object = ObjectRef{Key: entry.Object.Key, VersionID: entry.Object.Version, SHA256: entry.Object.SHA256, Size: entry.Object.Size}
		if err := a.Catalog.PutAnalysis(context.WithoutCancel(ctx), entry); err != nil {
			return nil, err
		}
		if _, err := a.kept(ctx, id, "it may have been destroyed meanwhile"); err != nil {
			return nil, errors.Join(err, a.expireAnalysis(context.WithoutCancel(ctx), entry))
		}
		return data, nil
	})
	if err != nil {
		return "", fmt.Errorf("annotate recording: %w", err)
	}
	return doc.ID, nil
}

// annotable finds a recording that may have documents, and checks the one that it is to have.
func (a *Archive) annotable(ctx context.Context, id string, doc *Analysis) (catalog.Recording, *Sidecar, error) {
	if err := doc.check(); err != nil {
		return catalog.Recording{}, nil, err
	}
	row, err := a.kept(ctx, id, "the document says why")
	if err != nil {
		return row, nil, err
	}
	review, err := a.Catalog.ReviewOf(ctx, id)
	if err != nil {
		return row, nil, err
	}
	if suspected(row, review) {
		return row, nil, fmt.Errorf("%w: it may hold a card's number; listen, redact it if it does, and release it (`greffier recordings release`)", ErrUnderReview)
	}
	side, err := a.sidecar(ctx, row)
	return row, side, err
}

// putAnalysis seals a document with a key of its own, and stores it.
func (a *Archive) putAnalysis(ctx context.Context, doc *Analysis, objectKey string) (catalog.Object, error) {
	plain, err := json.Marshal(doc)
	if err != nil {
		return catalog.Object{}, fmt.Errorf("encode document: %w", err)
	}
	key, err := a.Keys.Create(ctx, doc.ID)
	if err != nil {
		return catalog.Object{}, fmt.Errorf("make key: %w", err)
	}
	var file bytes.Buffer
	sealed := newCounter(&file)
	w, err := key.Encrypt(sealed)
	if err == nil {
		_, err = w.Write(plain)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return catalog.Object{}, fmt.Errorf("seal document: %w", err)
	}
	if err := a.Keys.Settle(ctx, doc.ID); err != nil {
		return catalog.Object{}, err
	}
	ref, err := a.Store.Put(ctx, objectKey, bytes.NewReader(file.Bytes()), sealed.n,
		storage.PutOptions{ContentType: objectContentType, Metadata: analysisMeta(doc.ID, doc.Recording, doc.Class, doc.RetainUntil), SHA256: sealed.sum()})
	if err != nil {
		return catalog.Object{}, fmt.Errorf("put document: %w", err)
	}
	plainSum := newCounter(io.Discard)
	_, _ = plainSum.Write(plain) // it cannot fail
	return catalog.Object{
		Key: objectKey, Version: ref.VersionID, SHA256: sealed.sum(), Size: sealed.n, PlainSHA256: plainSum.sum(), PlainSize: int64(len(plain)),
	}, nil
}

// analysisMeta is what stands in clear with a document.
func analysisMeta(id, recording, class string, until time.Time) map[string]string {
	return map[string]string{
		metaDocument: id, metaRecording: recording, metaClass: class, metaFormat: AnalysisFormat, metaRetain: until.UTC().Format(time.RFC3339),
	}
}

// Analyses lists the documents about a recording, the oldest first, without what they say. The recording may be gone.
func (a *Archive) Analyses(ctx context.Context, id string) ([]catalog.Analysis, error) {
	return a.Catalog.Analyses(ctx, id)
}

// Analysis opens a document, witnessed as an access to its recording. Its Audio says what became of the sound.
func (a *Archive) Analysis(ctx context.Context, docID, actor string) (Analysis, error) {
	entry, err := a.Catalog.GetAnalysis(ctx, docID)
	if err != nil {
		return Analysis{}, fmt.Errorf("open document: %w", err)
	}
	if entry.State != catalog.AnalysisStored || !entry.RetainUntil.After(a.now()) {
		return Analysis{}, fmt.Errorf("open document: %w: it is %s, and its term ends at %s", ErrNotPlayable, entry.State, entry.RetainUntil.Format(time.RFC3339))
	}
	if err := a.mayUse(ctx, entry.Recording, ""); err != nil {
		return Analysis{}, fmt.Errorf("open document: %w", err)
	}
	if err := a.witness(ctx, EventViewed, entry.Recording, actor, "", analysisData{Document: docID, Kind: AnalysisKind(entry.Kind)}); err != nil {
		return Analysis{}, err
	}
	doc, err := a.openAnalysis(ctx, entry)
	if err != nil {
		return Analysis{}, fmt.Errorf("open document: %w", err)
	}
	doc.Audio = catalog.StateDestroyed
	row, err := a.Catalog.Get(ctx, entry.Recording)
	if err == nil {
		doc.Audio = row.State
	} else if !errors.Is(err, catalog.ErrNotFound) {
		return Analysis{}, fmt.Errorf("open document: %w", err)
	}
	return doc, nil
}

// openAnalysis reads a document. The caller has witnessed the access, or shows it to nobody.
func (a *Archive) openAnalysis(ctx context.Context, entry catalog.Analysis) (Analysis, error) {
	key, err := a.Keys.Get(ctx, entry.ID)
	if errors.Is(err, seal.ErrDestroyed) || errors.Is(err, seal.ErrNotFound) {
		return Analysis{}, fmt.Errorf("%w: its key is gone", ErrNotPlayable)
	}
	if err != nil {
		return Analysis{}, fmt.Errorf("get key: %w", err)
	}
	object, err := a.Store.Open(ctx, storage.Ref{Key: entry.Object.Key, VersionID: entry.Object.Version})
	if err != nil {
		return Analysis{}, err
	}
	defer object.Close()
	plain, err := key.Decrypt(object, object.Info().Size)
	if err != nil {
		return Analysis{}, err
	}
	return decodeAnalysis(plain)
}

// expireAnalysis ends a document whose term is over, or whose recording was destroyed.
func (a *Archive) expireAnalysis(ctx context.Context, doc catalog.Analysis) error {
	data := expiredData{Until: doc.RetainUntil, Document: doc.ID}
	return a.do(ctx, EventAnalysisExpired, doc.Recording, "", data, func() (any, error) {
		if err := a.Keys.Destroy(ctx, doc.ID); err != nil {
			return nil, fmt.Errorf("destroy key: %w", err)
		}
		doc.State = catalog.AnalysisGone
		return data, a.Catalog.PutAnalysis(context.WithoutCancel(ctx), doc)
	})
}

// endAnalyses ends the documents about a recording that is destroyed: what may not be kept as sound may not be kept as words.
func (a *Archive) endAnalyses(ctx context.Context, id string) error {
	docs, err := a.Catalog.Analyses(ctx, id)
	if err != nil {
		return err
	}
	for _, doc := range docs {
		if doc.State == catalog.AnalysisGone {
			continue
		}
		if err := a.expireAnalysis(ctx, doc); err != nil {
			return err
		}
	}
	return nil
}
