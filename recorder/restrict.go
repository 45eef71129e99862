package recorder

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/greffier/greffier/catalog"
)

// ErrRestricted is a recording that is kept, and may not be used without a reason of its own (GDPR Art. 18).
var ErrRestricted = errors.New("use is restricted")

// Restrict keeps a recording from being played, read or exported until the restriction ends; its term goes on. It is what can be done where
// the law forbids erasure. Once is enough: again is no error, and the first reason stays.
func (a *Archive) Restrict(ctx context.Context, id, actor, why string) error {
	if _, err := a.kept(ctx, id, why); err != nil {
		return fmt.Errorf("restrict recording: %w", err)
	}
	if _, restricted, err := a.Catalog.RestrictionOf(ctx, id); err != nil || restricted {
		return err
	}
	r := catalog.Restriction{Recording: id, Reason: why, By: actor, At: utcMS(a.now())}
	return a.do(ctx, EventRestricted, id, actor, whyData{why}, func() (any, error) { return whyData{why}, a.Catalog.Restrict(ctx, r) })
}

// Unrestrict ends a restriction. A recording that has none is ErrRefused.
func (a *Archive) Unrestrict(ctx context.Context, id, actor, why string) error {
	if strings.TrimSpace(why) == "" {
		return fmt.Errorf("end restriction: %w: say why", ErrRefused)
	}
	if _, restricted, err := a.Catalog.RestrictionOf(ctx, id); err != nil {
		return err
	} else if !restricted {
		return fmt.Errorf("end restriction: %w: %s is not restricted", ErrRefused, id)
	}
	return a.do(ctx, EventUnrestricted, id, actor, whyData{why}, func() (any, error) { return whyData{why}, a.Catalog.Unrestrict(ctx, id) })
}

// mayUse tells whether a recording may be used; despite is the reason of who does so although it is restricted.
func (a *Archive) mayUse(ctx context.Context, id, despite string) error {
	r, restricted, err := a.Catalog.RestrictionOf(ctx, id)
	if err != nil || !restricted || strings.TrimSpace(despite) != "" {
		return err
	}
	return fmt.Errorf("%w since %s: %s; whoever has to use it all the same says why (--despite-restriction)", ErrRestricted, r.At.Format("2006-01-02"), r.Reason)
}
