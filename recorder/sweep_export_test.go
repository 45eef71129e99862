package recorder

import "context"

// Sweep is sweep.
func (a *Archive) Sweep(ctx context.Context) error { return a.sweep(ctx) }

// BeginSweep takes the lease for sweeping, as a process that dies before it sweeps.
func (a *Archive) BeginSweep(ctx context.Context) error {
	_, err := a.takeLease(ctx, leaseSweep)
	return err
}

// LeaseTime is leaseTime.
const LeaseTime = leaseTime

// ExpireDue is expireDue.
func (r *Recorder) ExpireDue(ctx context.Context) error { return r.expireDue(ctx) }
