package recorder

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// The names of the leases: what one process at a time does, of those that share a catalog.
const (
	leaseSweep  = "sweep"
	leaseVerify = "verify"
)

// leaseTime is how long a lease lasts that nobody makes longer: after that another process does the work of one that has died. It is far
// longer than the longest that a store takes to delete one version.
const leaseTime = time.Minute

// ErrNotOurs is work that another process has the lease for, of those that share the catalog.
var ErrNotOurs = errors.New("another process does it")

// NewHolder makes up a name for a process, which no other has.
func NewHolder() string { return rand.Text() }

// A tenure is a lease that this process has, and makes longer while it works.
type tenure struct {
	a     *Archive
	name  string
	renew time.Time // when it is to be made longer
}

// takeLease gives a tenure, or ErrNotOurs.
func (a *Archive) takeLease(ctx context.Context, name string) (*tenure, error) {
	t := &tenure{a: a, name: name}
	return t, t.keep(ctx)
}

// keep makes sure that the lease is still this process's, for a good while longer: ErrNotOurs if it is not.
func (t *tenure) keep(ctx context.Context) error {
	now := t.a.now()
	if now.Before(t.renew) {
		return ctx.Err()
	}
	ours, err := t.a.Catalog.Lease(ctx, t.name, t.a.Holder, leaseTime)
	if err != nil {
		return err
	}
	if !ours {
		return fmt.Errorf("%s: %w", t.name, ErrNotOurs)
	}
	t.renew = now.Add(leaseTime / 4)
	return nil
}

// end gives the lease back, whatever became of the work.
func (t *tenure) end(ctx context.Context) error {
	return t.a.Catalog.EndLease(context.WithoutCancel(ctx), t.name, t.a.Holder)
}
