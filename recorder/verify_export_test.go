package recorder

import "context"

// A Verifying is a verification that has listed the store and read the log, and can be asked about one thing at a time.
type Verifying struct {
	v       *verification
	entries uint64
	head    string
}

// Verifying begins one.
func (a *Archive) Verifying(ctx context.Context) (Verifying, error) {
	v := &verification{Archive: a, pace: func(context.Context, int64) error { return nil }}
	if err := v.listen(ctx); err != nil {
		return Verifying{}, err
	}
	v.log(ctx)
	return Verifying{v: v, entries: v.rep.Entries, head: v.rep.Head}, nil
}

// Recording verifies one recording.
func (x Verifying) Recording(ctx context.Context, id string) ([]Finding, error) {
	row, err := x.v.Catalog.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	rep, err := x.v.row(ctx, row)
	return rep.Problems, err
}

// Document verifies one document.
func (x Verifying) Document(ctx context.Context, id string) ([]Finding, error) {
	doc, err := x.v.Catalog.GetAnalysis(ctx, id)
	if err != nil {
		return nil, err
	}
	f := findings{id: doc.Recording}
	err = x.v.analysis(ctx, doc, &f)
	return f.list, err
}

// Log verifies the audit log.
func (x Verifying) Log() []Finding {
	x.v.rep = VerifyReport{}
	x.v.log(context.Background())
	return x.v.rep.Problems
}

// Same tells whether the log that was verified last has as many entries, up to the same one, as when the verification began.
func (x Verifying) Same() bool { return x.v.rep.Entries == x.entries && x.v.rep.Head == x.head }

// Tombstones verifies what is left of destroyed keys.
func (x Verifying) Tombstones(ctx context.Context) []Finding {
	x.v.rep = VerifyReport{}
	x.v.tombstones(ctx)
	return x.v.rep.Problems
}
