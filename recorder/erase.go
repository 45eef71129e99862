package recorder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage/spool"
)

// erasureData is the data of the events of a request.
type erasureData struct {
	Reason  string `json:"reason"`            // of the request: a reference
	AskedBy string `json:"asked_by"`          // the decision is its actor's
	Refusal string `json:"refusal,omitempty"` // of EventErasureRefused: "mandate", "held", or "decided"
	Detail  string `json:"detail,omitempty"`  // the text that obliges, the reference of the hold, or the reason of who decided
}

// Why a request is refused.
const (
	refusedMandate = "mandate"
	refusedHeld    = "held"
	refusedDecided = "decided"
)

// RequestErasure asks for a recording to be erased before its term (GDPR Art. 17). Another person has to approve. What a text obliges to
// keep, and what is held, is refused at once: an error that wraps ErrRefused or catalog.ErrHeld and says why.
func (a *Archive) RequestErasure(ctx context.Context, id, actor, reason string) error {
	row, err := a.kept(ctx, id, reason)
	if err != nil {
		return fmt.Errorf("ask for erasure: %w", err)
	}
	if e, err := a.Catalog.ErasureOf(ctx, id); err == nil && e.State == catalog.ErasureRequested {
		return fmt.Errorf("ask for erasure: %w: %s asked for it at %s, and somebody else has to decide", ErrRefused, e.AskedBy, e.AskedAt.Format(time.RFC3339))
	} else if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	e := catalog.Erasure{Recording: id, Reason: reason, State: catalog.ErasureRequested, AskedBy: actor, AskedAt: utcMS(a.now())}
	data := erasureData{Reason: reason, AskedBy: actor}
	err = a.do(ctx, EventErasureRequested, id, actor, data, func() (any, error) { return data, a.Catalog.PutErasure(ctx, e) })
	if err == nil {
		err = a.mayErase(ctx, row, e, actor)
	}
	if err != nil {
		return fmt.Errorf("ask for erasure: %w", err)
	}
	return nil
}

// ApproveErasure has a recording erased that somebody else asked for: its key is destroyed, and its versions are deleted. It gives the row as
// it is then: erased, or shredded while the store keeps bytes that nobody can read. With an error that wraps storage.ErrUnavailable the
// server does what is left.
func (a *Archive) ApproveErasure(ctx context.Context, id, actor string) (catalog.Recording, error) {
	e, err := a.requested(ctx, id)
	if err != nil {
		return catalog.Recording{}, fmt.Errorf("approve erasure: %w", err)
	}
	if e.AskedBy == actor {
		err := fmt.Errorf("approve erasure: %w: %s asked for it, and another person has to approve", ErrRefused, actor)
		return catalog.Recording{}, errors.Join(err, a.witness(ctx, EventErasureApproved, id, actor, audit.Failed, erasureData{Reason: e.Reason, AskedBy: e.AskedBy}))
	}
	row, err := a.kept(ctx, id, e.Reason)
	if err == nil && a.SpoolDir != "" && spool.Holds(a.SpoolDir, id) {
		err = ErrNotFinished
	}
	if err == nil {
		err = a.mayErase(ctx, row, e, actor)
	}
	if err != nil {
		return row, fmt.Errorf("approve erasure: %w", err)
	}
	e.State, e.DecidedBy, e.DecidedAt = catalog.ErasureApproved, actor, utcMS(a.now())
	data := erasureData{Reason: e.Reason, AskedBy: e.AskedBy}
	if err := a.do(ctx, EventErasureApproved, id, actor, data, func() (any, error) { return data, a.Catalog.PutErasure(ctx, e) }); err != nil {
		return row, fmt.Errorf("approve erasure: %w", err)
	}
	if row, err = a.carryOut(ctx, e); err != nil {
		return row, fmt.Errorf("erase recording: %w", err)
	}
	return row, nil
}

// RefuseErasure turns a request down. Whoever asked may take it back so, too.
func (a *Archive) RefuseErasure(ctx context.Context, id, actor, why string) error {
	if strings.TrimSpace(why) == "" {
		return fmt.Errorf("refuse erasure: %w: say why", ErrRefused)
	}
	e, err := a.requested(ctx, id)
	if err == nil {
		err = a.turnDown(ctx, e, actor, refusedDecided, why)
	}
	if err != nil {
		return fmt.Errorf("refuse erasure: %w", err)
	}
	return nil
}

// Erasures lists the requests, the oldest first: of each recording the last.
func (a *Archive) Erasures(ctx context.Context) ([]catalog.Erasure, error) {
	return a.Catalog.Erasures(ctx, "")
}

// requested finds a request that waits for a decision.
func (a *Archive) requested(ctx context.Context, id string) (catalog.Erasure, error) {
	e, err := a.Catalog.ErasureOf(ctx, id)
	if errors.Is(err, catalog.ErrNotFound) {
		if _, err := a.Catalog.Get(ctx, id); err != nil {
			return e, err
		}
		return e, fmt.Errorf("%w: nobody asked for %s to be erased", ErrRefused, id)
	}
	if err == nil && e.State != catalog.ErasureRequested {
		err = fmt.Errorf("%w: the request about %s is %s already", ErrRefused, id, e.State)
	}
	return e, err
}

// mayErase tells whether anything forbids to erase a recording, and turns the request down if so.
func (a *Archive) mayErase(ctx context.Context, row catalog.Recording, e catalog.Erasure, actor string) error {
	if err := a.heldError(ctx, row); errors.Is(err, catalog.ErrHeld) {
		list, listErr := a.Catalog.HoldsOf(ctx, row.ID)
		if listErr != nil || len(list) == 0 {
			return errors.Join(err, listErr)
		}
		return errors.Join(err, a.turnDown(ctx, e, actor, refusedHeld, list[0].Reason))
	} else if err != nil {
		return err
	}
	there, err := a.remains(ctx, row.Sidecar.Key)
	if err != nil {
		return err
	}
	if there.held() {
		err := fmt.Errorf("%w in the store, which Greffier did not place", catalog.ErrHeld)
		return errors.Join(err, a.turnDown(ctx, e, actor, refusedHeld, "a legal hold in the store"))
	}
	side, err := a.sidecar(ctx, row)
	if err != nil {
		return err
	}
	if text := side.Class.Mandate; text != "" {
		err := fmt.Errorf("%w: class %q is recorded because of %s, which keeps it until %s (GDPR Art. 17(3)(b)); its use can be restricted instead: `greffier recordings restrict %s`",
			ErrRefused, side.Class.Name, text, row.RetainUntil.Format(time.RFC3339), row.ID)
		return errors.Join(err, a.turnDown(ctx, e, actor, refusedMandate, text))
	}
	return nil
}

// turnDown refuses a request.
func (a *Archive) turnDown(ctx context.Context, e catalog.Erasure, actor, refusal, detail string) error {
	e.State, e.DecidedBy, e.DecidedAt = catalog.ErasureRefused, actor, utcMS(a.now())
	data := erasureData{Reason: e.Reason, AskedBy: e.AskedBy, Refusal: refusal, Detail: detail}
	return a.do(ctx, EventErasureRefused, e.Recording, actor, data, func() (any, error) { return data, a.Catalog.PutErasure(ctx, e) })
}
