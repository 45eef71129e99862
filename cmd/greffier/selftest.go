package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage"
)

// When a running server tests its store again.
const (
	selftestEvery = 24 * time.Hour
	selftestRetry = 10 * time.Minute // after a test that the store did not answer
)

// Events of the store itself.
const (
	eventSelftest         = "storage.selftest"
	eventDrift            = "storage.lifecycle_drift"
	eventLifecycleApplied = "storage.lifecycle_applied"
)

// A prober is a store that can be asked to prove that its locks are locks.
type prober interface {
	Probe(ctx context.Context, o storage.ProbeOptions) (storage.Report, error)
}

// A lifecycler is a store that can delete by itself what is over.
type lifecycler interface {
	Lifecycle(ctx context.Context) (storage.Lifecycle, error)
	ApplyLifecycle(ctx context.Context, want []storage.LifecycleRule) (storage.Lifecycle, error)
}

// A selftest proves when a server starts, and once a day, that the store keeps what it is told to keep.
type selftest struct {
	store   prober
	rules   lifecycler // nil: the store deletes nothing by itself
	classes func() []policy.Class
	slack   int  // days
	accept  bool // of rules that are not the policy's
	witness func(ctx context.Context, typ string, data any) error
	log     *zap.Logger

	last atomic.Pointer[storage.Report] // nil: nothing was found yet
}

// newSelftest is one for the store of an archive.
func (m *Main) newSelftest() (*selftest, error) {
	store, ok := m.parts.archive.Store.(prober)
	if !ok {
		return nil, fmt.Errorf("test store: %T cannot be tested", m.parts.archive.Store)
	}
	s := &selftest{
		store: store, classes: func() []policy.Class { return m.lists.Policy().Classes() }, slack: m.Config.Store.S3.LifecycleSlackDays,
		accept: m.Config.Store.S3.AcceptDrift, witness: m.witness, log: m.log.Named("selftest"),
	}
	s.rules, _ = store.(lifecycler)
	return s, nil
}

// start is the test before the first call. Its error says why the server may not start on this store.
func (s *selftest) start(ctx context.Context) error {
	rep, err := s.test(ctx)
	if err == nil {
		err = refuses(rep, s.classes())
	}
	if err != nil {
		return fmt.Errorf("test store: %w", err)
	}
	return s.inStep(ctx)
}

// run tests once a day until ctx ends. A store that became worse cannot be refused any more: calls go on, and an operator is told.
func (s *selftest) run(ctx context.Context) error {
	timer := time.NewTimer(selftestEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		wait := selftestEvery
		rep, err := s.test(ctx)
		if err == nil {
			err = errors.Join(refuses(rep, s.classes()), s.inStep(ctx))
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("the store failed its test", zap.Error(err))
		}
		if errors.Is(err, storage.ErrUnavailable) {
			wait = selftestRetry
		}
		timer.Reset(wait)
	}
}

// test probes the store, and witnesses what it found.
func (s *selftest) test(ctx context.Context) (storage.Report, error) {
	rep, err := s.store.Probe(ctx, storage.ProbeOptions{})
	if err != nil {
		return rep, err
	}
	for _, row := range rep.Failed() {
		s.log.Warn("the store does not do what it should", zap.String("row", row.Name), zap.String("want", row.Want), zap.String("got", row.Got), zap.String("why", row.Why))
	}
	if err := s.witness(ctx, eventSelftest, rep); err != nil {
		return rep, err
	}
	s.last.Store(&rep)
	return rep, nil
}

// is tells whether the last test found a level.
func (s *selftest) is(l storage.Level) bool {
	last := s.last.Load()
	return last != nil && last.Level == l
}

// allows says what speaks against a policy that is about to come into force, by the last test.
func (s *selftest) allows(p *policy.Policy) error {
	last := s.last.Load()
	if last == nil {
		return nil
	}
	return refuses(*last, p.Classes())
}

// refuses says why a server whose policy has these classes may not put them into a store.
func refuses(rep storage.Report, classes []policy.Class) error {
	switch rep.Level {
	case storage.Unversioned:
		return fmt.Errorf("the store is %s: %s", rep.Level, rowsText(rep.Failed()[:1]))
	case storage.WormPartial:
	default:
		return nil
	}
	names := mustLock(classes)
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("the store is %s, and recordings of class %s have to be locked for certain: %s; mend the store or its credentials, or take the class out of the policy (`greffier storage check` shows every row)",
		rep.Level, strings.Join(names, ", "), rowsText(rep.Failed()))
}

// mustLock names the classes that a text obliges to keep, or that are locked in COMPLIANCE.
func mustLock(classes []policy.Class) []string {
	var out []string
	for _, c := range classes {
		if c.Mandate != "" || c.Lock == policy.Compliance {
			out = append(out, c.Name)
		}
	}
	return out
}

func rowsText(rows []storage.Row) string {
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprintf("%s is %q: %s", r.Name, r.Got, r.Why))
	}
	return strings.Join(out, "; ")
}

// inStep compares the bucket's lifecycle rules with the policy's. A difference is an error, unless it was accepted; a bucket that has no
// rule of ours is none: the sweeper deletes what is over.
func (s *selftest) inStep(ctx context.Context) error {
	if s.rules == nil {
		return nil
	}
	plan, err := planLifecycle(ctx, s.rules, s.classes(), s.slack)
	if err != nil {
		return err
	}
	for _, name := range plan.Covering {
		s.log.Warn("a lifecycle rule of others removes recordings, too", zap.String("rule", name))
	}
	switch plan.State {
	case storage.LifecycleNotPlanned:
		s.log.Warn("the bucket has no lifecycle rules of ours: the sweeper alone deletes what is over; see `greffier storage plan`")
	case storage.LifecycleDrift:
		if !s.accept {
			return fmt.Errorf("the bucket's lifecycle rules are not the policy's (%d differ): see `greffier storage plan`, then `greffier storage apply`, or set store.s3.accept_drift", len(plan.Changes))
		}
		s.log.Warn("the bucket's lifecycle rules are not the policy's, and that is accepted", zap.Int("differ", len(plan.Changes)))
		return s.witness(ctx, eventDrift, plan)
	}
	return nil
}
