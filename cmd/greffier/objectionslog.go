package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
)

// witnessed reads the list of objections from the audit log, where each stands before it is on the list, and its end before it is off it:
// nobody is missing whom the list has.
func witnessed(auditDir string) (map[string]catalog.Objection, error) {
	out := map[string]catalog.Objection{}
	for e, err := range audit.Read(auditDir) {
		if err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		if e.Type != eventObjectionRecorded && e.Type != eventObjectionWithdrawn {
			continue
		}
		var d entryData
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return nil, fmt.Errorf("read entry %d: %w", e.Seq, err)
		}
		_, there := out[d.Hash]
		switch {
		case e.Type == eventObjectionWithdrawn:
			delete(out, d.Hash)
		case !there: // the first stays, as in the catalog
			out[d.Hash] = catalog.Objection{Hash: d.Hash, Since: e.Time, Source: string(d.Source), Proof: d.Proof}
		}
	}
	return out, nil
}

// remember brings the objections into force that the audit log tells of, where the catalog cannot be asked when the server begins. The
// catalog's own list takes their place when it is back.
func (l *lists) remember() error {
	list, err := witnessed(l.auditDir)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for _, hash := range slices.Sorted(maps.Keys(list)) {
		text.WriteString(hash + "\n")
	}
	o, err := policy.ParseObjectors(text.Bytes(), l.key)
	if err != nil {
		return err
	}
	l.objectors.Store(o)
	l.version, l.unread = noVersion, true
	return nil
}

// rebuildObjections puts back into the catalog what the audit log tells of the list of objections, and gives how many there are.
func (p *parts) rebuildObjections(ctx context.Context) (int, error) {
	list, err := witnessed(p.archive.AuditDir)
	if err != nil {
		return 0, err
	}
	for _, hash := range slices.Sorted(maps.Keys(list)) {
		if _, err := p.archive.Catalog.PutObjection(ctx, list[hash]); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}
