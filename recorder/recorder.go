package recorder

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/spool"
)

// Config holds the parts that a recorder works with. It owns none of them: the caller closes them after Run has returned.
type Config struct {
	Receiver *media.Receiver
	Spool    *spool.Spool
	Keys     *seal.Keys
	Store    storage.Store
	Eraser   eraser // as that of an Archive, for erasures that were cut off; may be nil
	Catalog  *catalog.Catalog
	Audit    *audit.Log

	// Policy gives the policy in force now; Directory and Objectors the lists, where there are any: both may be nil. None may wait.
	Policy    func() *policy.Policy
	Directory func() *policy.Directory
	Objectors func() *policy.Objectors
	// Adviser is asked once about each call whose class wants notice or consent; may be nil.
	Adviser Adviser

	// Codecs are the decoders outside this program that may be used beside its own.
	Codecs codec.Set

	// PseudonymKey keys the hashes that stand for calls and parties where no personal data may stand. At least 16 bytes.
	PseudonymKey []byte
	// FactsKey seals the facts of decisions that a policy has kept (keep_facts): 32 bytes; empty: none are kept.
	FactsKey []byte
	// MinFree is the free space, in bytes, below which new calls are refused.
	MinFree uint64
	// Workers is how many recordings are finished at the same time. At least 1.
	Workers int
	// Profiles are what is known of each SRC, by its name; one that is not there demands nothing.
	Profiles map[string]Profile
	// MissingAfter is how long an active stream may bring nothing before Watch tells of it; 0 means MissingAfter.
	MissingAfter time.Duration
	// Holder names this process among those that share the catalog; "" makes a name up.
	Holder string
	// Clock tells the time; nil means time.Now.
	Clock func() time.Time
	Log   *zap.Logger
	// Observe is told of every deed, for metrics; may be nil.
	Observe func(Observation)
}

// An Observation is one thing that happened, by the name of its event and the rule and outcome that it had.
type Observation struct {
	Event   string
	Class   string
	Outcome string

	// Of a metadata warning only.
	SRC     string // name of the SRC profile
	Warning siprec.Warning
}

// A Recorder takes calls and finishes recordings. Its methods may be called from several goroutines; those that concern one
// dialog must not overlap.
type Recorder struct {
	cfg       Config
	words     words
	gate      storeGate          // before the store
	storeBack chan struct{}      // capacity 1: the gate has opened
	wake      chan struct{}      // capacity 1: something in the spool is ready to be finished
	settling  chan chan struct{} // closed by Run when there is nothing left to do now

	mu       sync.Mutex
	sessions map[siprec.DialogID]*session // that have not ended
	live     map[string]bool              // ids whose spool file a call still writes to
	ended    []string                     // of live, until lately: for Run
	taken    map[string]bool              // ids that somebody finishes, locks or destroys
	totals   media.StreamStats            // sums over the recordings that have ended

	debts debts // to the catalog

	recovery *recovery // that the catalog was away for; owned by Recover, then by a chore

	asks   asks
	alarms alarms
	busy   atomic.Int64 // recordings that are being finished
	held   atomic.Int64 // bytes of sound in memory that may have to be forgotten

	nextTerm atomic.Pointer[time.Time] // the end of the next term, as far as it is known; nil: not

	lastFree   time.Time // when the spool's free space was last asked for
	enoughFree bool
}

// New checks that nothing is missing. Work begins with Run.
func New(cfg Config) (*Recorder, error) {
	if cfg.Policy == nil || cfg.Receiver == nil || cfg.Spool == nil || cfg.Keys == nil || cfg.Store == nil || cfg.Catalog == nil || cfg.Audit == nil {
		return nil, errors.New("recorder: a part is missing")
	}
	if len(cfg.PseudonymKey) < 16 {
		return nil, errors.New("recorder: the pseudonym key is too short")
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Observation) {}
	}
	if cfg.MissingAfter <= 0 {
		cfg.MissingAfter = MissingAfter
	}
	if cfg.Holder == "" {
		cfg.Holder = NewHolder()
	}
	cfg.Workers = max(1, cfg.Workers)
	return &Recorder{
		cfg:      cfg,
		words:    words{cfg.PseudonymKey},
		wake:     make(chan struct{}, 1),
		settling: make(chan chan struct{}),
		sessions: map[siprec.DialogID]*session{},
		live:     map[string]bool{},
		taken:    map[string]bool{},
		debts:    debts{of: map[string]*debt{}},
		asks:     newAsks(),
		alarms:   newAlarms(),
	}, nil
}

// freeInterval is how long an answer about free space is believed.
const freeInterval = time.Second

// Ready says whether a further call can be taken and kept. The error is a *siprec.Refusal.
func (r *Recorder) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Clock()
	if now.Sub(r.lastFree) >= freeInterval || now.Before(r.lastFree) {
		free, err := r.cfg.Spool.Free()
		r.enoughFree = err == nil && free >= r.cfg.MinFree
		r.lastFree = now
	}
	if !r.enoughFree {
		return &siprec.Refusal{Kind: siprec.Unavailable, Cause: "disk", Reason: "the spool's disk is full"}
	}
	return nil
}

// Calls counts the recordings in progress, and the recording sessions that have not ended.
func (r *Recorder) Calls() (recordings, sessions int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.live), len(r.sessions)
}

// Finishing counts the recordings that are being finished now: sealed, stored, locked.
func (r *Recorder) Finishing() int { return int(r.busy.Load()) }

// Totals sums the counters of every stream of the sessions that have ended; what is no counter is zero.
func (r *Recorder) Totals() media.StreamStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.totals
}

// count adds a session's streams to the totals.
func (r *Recorder) count(streams []media.StreamStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range streams {
		t := &r.totals
		t.Packets += s.Packets
		t.Placed += s.Placed
		t.Bytes += s.Bytes
		t.Lost += s.Lost
		t.Late += s.Late
		t.Duplicate += s.Duplicate
		t.Foreign += s.Foreign
		t.Malformed += s.Malformed
		t.UnknownPayload += s.UnknownPayload
		t.Refused += s.Refused
		t.Discarded += s.Discarded
		t.KernelDrops += s.KernelDrops
		t.AuthFailed += s.AuthFailed
		t.Replayed += s.Replayed
	}
}

// wakeUp tells Run to look at the spool.
func (r *Recorder) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// do brackets a deed that cannot be undone with its events: intended before, done or failed after. If the first cannot be
// written the deed is not done.
func (r *Recorder) do(ctx context.Context, typ, id string, data any, deed func() (any, error)) error {
	if err := r.witness(ctx, typ, id, audit.Intended, data); err != nil {
		return err
	}
	after, err := deed()
	ctx = context.WithoutCancel(ctx) // what was done is told, even when we are asked to stop meanwhile
	if err != nil {
		failed := struct {
			Error string `json:"error"`
		}{fmt.Sprintf("%T", rootCause(err))}
		return errors.Join(err, r.witness(ctx, typ, id, audit.Failed, failed))
	}
	return r.witness(ctx, typ, id, audit.Done, after)
}

// rootCause is the innermost error: its type may stand in the audit log, its text, which may name a party, may not.
func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// A Refusal is a request that was not accepted, or several that were alike.
type Refusal struct {
	Source netip.Addr
	SRC    string // the profile that matched, or ""
	Method string
	Status int
	Reason string
	Count  int
}

// Refused witnesses a request that was not accepted. The source's address becomes a keyed hash.
func (r *Recorder) Refused(ctx context.Context, f Refusal) error {
	d := refusedData{SRC: f.SRC, Method: f.Method, Status: f.Status, Reason: f.Reason, Count: f.Count}
	if f.Source.IsValid() {
		d.Source = r.words.hash(f.Source.String())
	}
	return r.witness(ctx, EventRefused, "", "", d)
}
