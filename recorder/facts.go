package recorder

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
)

// keep keeps the facts of a decision for as long as the policy says, sealed, so that another policy can be tried on them. That is all
// that they are for: a call goes on when they cannot be kept. Of a call in which somebody objects none are, nor those of a decision before.
func (r *Recorder) keep(ctx context.Context, c *call, f policy.Facts, at time.Time) {
	term := c.rules.KeepFacts()
	if c.decision.Reason == policy.Objected {
		r.unkeep(ctx, c)
		return
	}
	if term.IsZero() || len(r.cfg.FactsKey) == 0 || r.CatalogAway() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, catalogPatience)
	defer cancel()
	err := func() error {
		plain, err := f.MarshalKept()
		if err != nil {
			return err
		}
		sealed, err := sealFacts(r.cfg.FactsKey, c.id, plain)
		if err != nil {
			return err
		}
		return r.cfg.Catalog.PutFacts(ctx, catalog.Facts{ID: c.id, At: at, Until: term.After(at), Sealed: sealed})
	}()
	if isCatalogAway(err) {
		r.catalogIs(err)
	}
	if err != nil {
		c.log().Warn("the facts of a decision could not be kept for simulations", zap.Error(err))
	}
}

// unkeep deletes the facts of a call's decision.
func (r *Recorder) unkeep(ctx context.Context, c *call) {
	r.tellCatalog(ctx, c.id, func(d *debt) { d.unkeep = true })
}

// sealFacts seals the facts of one call: AES-256-GCM, a random nonce first, the call's id as additional data.
func sealFacts(key []byte, id string, plain []byte) ([]byte, error) {
	aead, err := factsCipher(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	rand.Read(nonce)
	return aead.Seal(nonce, nonce, plain, []byte(id)), nil
}

func openFacts(key []byte, id string, sealed []byte) ([]byte, error) {
	aead, err := factsCipher(key)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("open kept facts: they are cut short")
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(id))
	if err != nil {
		return nil, errors.New("open kept facts: they were kept with another key; restore secrets/node-key from your backup")
	}
	return plain, nil
}

func factsCipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal facts: %w", err)
	}
	return cipher.NewGCM(block)
}

// A Simulation is what another policy would have decided.
type Simulation struct {
	Since     time.Time `json:"since"`
	Decisions int       `json:"decisions"` // whose facts are kept
	Unknown   int       `json:"unknown"`   // decisions since then whose facts are not: see Simulate
	Changed   int       `json:"changed"`   // that would be different ones
	Before    Outcome   `json:"before"`
	After     Outcome   `json:"after"`

	Rules  map[string]*Shift `json:"rules"`  // by the rule that decides, before or after
	Groups map[string]*Shift `json:"groups"` // by the agent's groups in the directory
	Agents map[string]*Shift `json:"agents"` // by the agent; "" of calls without one
}

// An Outcome counts decisions.
type Outcome struct {
	Recorded    int `json:"recorded"`
	NotRecorded int `json:"not_recorded"`
}

func (o *Outcome) count(d bool) {
	if d {
		o.Recorded++
	} else {
		o.NotRecorded++
	}
}

// A Shift is what would change for some decisions.
type Shift struct {
	Before  Outcome `json:"before"`
	After   Outcome `json:"after"`
	Changed int     `json:"changed"`
}

// EventSimulated is the event of a simulation.
const EventSimulated = "policy.simulated"

// Simulate decides again, by another policy, about the calls since an instant whose facts are kept, and tells what would change. Quotas are
// not counted: a call with a claim counts as recorded, on both sides. No facts are kept of a call that somebody did not want recorded, that
// consent, a notice, a mark or facts did not come for, or that is destroyed, erased or expired. The key is that of Config.FactsKey. It is
// witnessed.
func (a *Archive) Simulate(ctx context.Context, p *policy.Policy, d *policy.Directory, o *policy.Objectors, key []byte, since time.Time, actor string) (Simulation, error) {
	out := Simulation{Since: utcMS(since), Rules: map[string]*Shift{}, Groups: map[string]*Shift{}, Agents: map[string]*Shift{}}
	data := map[string]any{"policy_digest": p.Digest(), "since": out.Since}
	if err := a.witness(ctx, EventSimulated, "", actor, "", data); err != nil {
		return out, err
	}
	rows, err := a.Catalog.List(ctx, catalog.Query{From: since})
	if err != nil {
		return out, err
	}
	before := make(map[string]catalog.Recording, len(rows))
	for _, row := range rows {
		before[row.ID] = row
	}
	for kept, err := range a.Catalog.Facts(ctx, since) {
		if err != nil {
			return out, err
		}
		row, there := before[kept.ID]
		if !there {
			continue // of a call that left no row
		}
		delete(before, kept.ID)
		plain, err := openFacts(key, kept.ID, kept.Sealed)
		if err != nil {
			return out, err
		}
		f, err := policy.UnmarshalFacts(plain)
		if err != nil {
			return out, err
		}
		f.Directory, f.Objectors = d, o
		out.add(row, p.Decide(f, kept.At), p, f)
	}
	out.Unknown = len(before)
	return out, nil
}

// add counts one decision, before and after.
func (s *Simulation) add(row catalog.Recording, now policy.Decision, p *policy.Policy, f policy.Facts) {
	was := row.State != catalog.StateNotRecorded || row.Reason == string(policy.QuotaOver)
	changed := was != now.Record || row.Class != now.Class || row.Rule != now.Rule
	agent, groups := p.Agent(f)
	s.Decisions++
	s.Before.count(was)
	s.After.count(now.Record)
	if changed {
		s.Changed++
	}
	at := func(m map[string]*Shift, name string) *Shift {
		if m[name] == nil {
			m[name] = &Shift{}
		}
		return m[name]
	}
	at(s.Rules, row.Rule).Before.count(was)
	at(s.Rules, now.Rule).After.count(now.Record)
	if changed {
		at(s.Rules, row.Rule).Changed++
		if now.Rule != row.Rule {
			at(s.Rules, now.Rule).Changed++
		}
	}
	both := func(x *Shift) {
		x.Before.count(was)
		x.After.count(now.Record)
		if changed {
			x.Changed++
		}
	}
	both(at(s.Agents, agent))
	for _, g := range groups {
		both(at(s.Groups, g))
	}
}
