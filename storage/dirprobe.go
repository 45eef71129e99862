package storage

import "context"

// Probe implements what S3 does for a service, as far as there is something to prove: the store is what it should be, and its locks
// are this program's own. Level is always SoftwareLock.
func (d *Dir) Probe(ctx context.Context, _ ProbeOptions) (Report, error) {
	if err := d.Check(ctx); err != nil {
		return Report{}, err
	}
	return Report{Level: SoftwareLock, Rows: []Row{{Name: "store", Want: gotReadable, Got: gotReadable, OK: true}}}, nil
}
