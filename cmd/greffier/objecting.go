package main

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
)

// Events of the list of those who object.
const (
	eventObjectionRecorded  = "objection.recorded"
	eventObjectionWithdrawn = "objection.withdrawn"
)

// lists are those of a server.
func (p *parts) lists(log *zap.Logger, warn func(*policy.Policy)) *lists {
	return &lists{
		catalog: p.archive.Catalog, audit: p.archive.Audit, auditDir: p.archive.AuditDir, log: log, key: p.objectorsKey, warn: warn,
		options: policy.Options{SamplingKey: p.samplingKey, Can: policy.Anything()},
	}
}

// An objecting keeps the list of those who never want to be recorded. It keeps no address: a keyed hash of each.
type objecting struct {
	catalog *catalog.Catalog
	audit   *audit.Log
	key     []byte
	country func() string         // whose national numbers are meant
	changed func(context.Context) // called when the list is another; may be nil
}

func (p *parts) objections(country func() string, changed func(context.Context)) *objecting {
	return &objecting{catalog: p.archive.Catalog, audit: p.archive.Audit, key: p.objectorsKey, country: country, changed: changed}
}

// entryData is the data of an event about an entry.
type entryData struct {
	Hash   string              `json:"hash"`
	Source policy.SignalSource `json:"source,omitempty"`
	Proof  string              `json:"proof,omitempty"`
}

func (o *objecting) hash(address string) string {
	return policy.HashAddress(o.key, address, o.country())
}

// Add puts somebody on the list. One who is on it stays as they are.
func (o *objecting) Add(ctx context.Context, x api.Objection, actor string) error {
	_, err := o.add(ctx, x, actor)
	return err
}

// add is Add, and tells whether they were not on it before.
func (o *objecting) add(ctx context.Context, x api.Objection, actor string) (added bool, err error) {
	hash := o.hash(x.Address)
	if _, there, err := o.catalog.ObjectionOf(ctx, hash); err != nil || there {
		return false, err
	}
	now := time.Now()
	if err := o.witness(ctx, now, eventObjectionRecorded, actor, entryData{hash, x.Source, x.Proof}); err != nil {
		return false, err
	}
	if added, err = o.catalog.PutObjection(ctx, catalog.Objection{Hash: hash, Since: now, Source: string(x.Source), Proof: x.Proof}); err != nil {
		return false, err
	}
	o.tell(ctx)
	return added, nil
}

// Remove takes somebody off the list.
func (o *objecting) Remove(ctx context.Context, address, actor string) error {
	hash := o.hash(address)
	if _, there, err := o.catalog.ObjectionOf(ctx, hash); err != nil {
		return err
	} else if !there {
		return api.ErrNoObjection
	}
	if err := o.witness(ctx, time.Now(), eventObjectionWithdrawn, actor, entryData{Hash: hash}); err != nil {
		return err
	}
	if _, err := o.catalog.DeleteObjection(ctx, hash); err != nil {
		return err
	}
	o.tell(ctx)
	return nil
}

// List gives a page of the list.
func (o *objecting) List(ctx context.Context, after string, limit int) ([]api.ObjectionEntry, error) {
	page, err := o.catalog.Objections(ctx, after, limit)
	out := make([]api.ObjectionEntry, len(page))
	for i, x := range page {
		out[i] = entryOf(x)
	}
	return out, err
}

// of gives somebody's entry; nil when they are not on the list.
func (o *objecting) of(ctx context.Context, address string) (*api.ObjectionEntry, error) {
	x, there, err := o.catalog.ObjectionOf(ctx, o.hash(address))
	if err != nil || !there {
		return nil, err
	}
	entry := entryOf(x)
	return &entry, nil
}

func entryOf(x catalog.Objection) api.ObjectionEntry {
	return api.ObjectionEntry{Hash: x.Hash, Source: policy.SignalSource(x.Source), Proof: x.Proof, At: x.Since}
}

func (o *objecting) witness(ctx context.Context, at time.Time, typ, actor string, data any) error {
	if _, err := o.audit.Append(ctx, audit.Event{Time: at, Type: typ, Actor: actor, Data: data}); err != nil {
		return fmt.Errorf("witness %s: %w", typ, err)
	}
	return nil
}

func (o *objecting) tell(ctx context.Context) {
	if o.changed != nil {
		o.changed(context.WithoutCancel(ctx))
	}
}
