package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// probeText is what the objects of a probe hold.
const probeText = "A self-test of the store. It may be deleted when its lock has ended.\n"

// put writes an object of this probe's own, through the store that recordings go through.
func (p *prober) put(ctx context.Context, name string) (Ref, error) {
	return p.s.Put(ctx, p.dir+name, strings.NewReader(probeText), int64(len(probeText)), PutOptions{})
}

// putLocked writes an object and locks it for a time. The lock is not in force when the service says so: what is asked of the object
// then fails.
func (p *prober) putLocked(ctx context.Context, name string, m Mode, d time.Duration) (ref Ref, r Retention, err error) {
	if ref, err = p.put(ctx, name); err != nil {
		return ref, r, err
	}
	r = p.until(m, d)
	said, _, err := p.retain(ctx, ref, r)
	if err != nil {
		return ref, r, fmt.Errorf("%s: %w", rowLockLater, err)
	}
	if said != "" {
		p.seen[rowLockLater] = sight{gotDenied, said}
	}
	return ref, r, nil
}

// until is a lock from now on, by the service's clock.
func (p *prober) until(m Mode, d time.Duration) Retention {
	return Retention{Mode: m, Until: p.serviceNow().Add(d)}.Rounded()
}

// retain sets a retention as it is given, whatever there was, and tells what is in force afterwards.
func (p *prober) retain(ctx context.Context, ref Ref, r Retention) (said string, now Retention, err error) {
	mode := minio.RetentionMode(r.Mode)
	err = p.s.core.PutObjectRetention(ctx, p.s.bucket, ref.Key, minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &r.Until, VersionID: ref.VersionID})
	if said, err = p.answered(ctx, err); err != nil {
		return said, now, err
	}
	info, err := p.s.stat(ctx, ref)
	return said, info.Retention, err
}

// setRow tries a change that should be denied, or allowed, and notes what became of it.
func (p *prober) setRow(ctx context.Context, row string, ref Ref, was, r Retention) error {
	said, is, err := p.retain(ctx, ref, r)
	switch {
	case errors.Is(err, ErrNotFound):
		p.seen[row] = sight{"gone", "the object is not there any more"}
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", row, err)
	case is.Equal(r):
		p.seen[row] = sight{gotAllowed, said}
	case !is.Equal(was):
		p.seen[row] = sight{"changed to " + is.String(), said}
	case said == "":
		p.seen[row] = sight{got: gotIgnored}
	default:
		p.seen[row] = sight{gotDenied, said}
	}
	return nil
}

// deleteRow tries to delete a version, and looks whether it is there afterwards: the answer alone proves nothing.
func (p *prober) deleteRow(ctx context.Context, row string, ref Ref, bypass bool) (gone bool, err error) {
	err = p.s.core.RemoveObject(ctx, p.s.bucket, ref.Key, minio.RemoveObjectOptions{VersionID: ref.VersionID, GovernanceBypass: bypass})
	said, err := p.answered(ctx, err)
	if err != nil {
		return false, fmt.Errorf("%s: %w", row, err)
	}
	there, err := p.there(ctx, ref)
	switch {
	case err != nil:
		return false, fmt.Errorf("%s: %w", row, err)
	case !there:
		p.seen[row] = sight{gotAllowed, said}
	case said == "":
		p.seen[row] = sight{got: gotIgnored}
	default:
		p.seen[row] = sight{gotDenied, said}
	}
	return !there, nil
}

func (p *prober) there(ctx context.Context, ref Ref) (bool, error) {
	_, err := p.s.stat(ctx, ref)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// inTime notes that a row of a short lock says nothing if the lock has ended meanwhile.
func (p *prober) inTime(row string, r Retention) {
	if p.serviceNow().After(r.Until.Add(-probeMargin)) {
		p.seen[row] = sight{gotNotChecked, fmt.Sprintf("the service took longer to answer than the lock of %v", probeLock)}
	}
}

// unlocked deletes an object that nothing locks. It tells whether locks can be looked at at all.
func (p *prober) unlocked(ctx context.Context) (may bool, err error) {
	ref, err := p.put(ctx, "unlocked")
	if err != nil {
		return false, err
	}
	if _, err := p.deleteRow(ctx, rowDelete, ref, false); err != nil {
		return false, err
	}
	return p.seen[rowLockLater].got != gotDenied, nil
}

// compliance attacks the object of the day, whose lock has nearly an hour to go, so that no answer can come too late.
func (p *prober) compliance(ctx context.Context) error {
	ref, was, err := p.ofTheDay(ctx)
	if err != nil || was.IsZero() {
		return err
	}
	for _, d := range []struct {
		row    string
		bypass bool
	}{{rowCompliance, false}, {rowComplianceBypass, true}} {
		gone, err := p.deleteRow(ctx, d.row, ref, d.bypass)
		if err != nil {
			return err
		}
		if gone { // the others are asked of one more
			if ref, was, err = p.putLocked(ctx, d.row, Compliance, probeLock); err != nil {
				return err
			}
		}
	}
	longer := Retention{Compliance, was.Until.Add(time.Second)}
	if err := p.setRow(ctx, rowExtend, ref, was, longer); err != nil {
		return err
	}
	if p.seen[rowExtend].got == gotAllowed {
		was = longer
	}
	sooner := Retention{Compliance, was.Until.Add(-time.Second)}
	if err := p.setRow(ctx, rowShorten, ref, was, sooner); err != nil {
		return err
	}
	if p.seen[rowShorten].got == gotAllowed {
		was = sooner
	}
	return p.setRow(ctx, rowWeaken, ref, was, Retention{Governance, was.Until})
}

// ofTheDay finds or makes the object of the day, locked for an hour from now on, by a lock that is set after the upload. The zero
// retention says that it could not be locked.
func (p *prober) ofTheDay(ctx context.Context) (ref Ref, r Retention, err error) {
	ref, err = p.s.Put(ctx, p.dayKey(), strings.NewReader(probeText), int64(len(probeText)), PutOptions{})
	if err != nil {
		return ref, r, err
	}
	info, err := p.s.stat(ctx, ref)
	if err != nil {
		return ref, r, err
	}
	want := p.until(Compliance, probeHour)
	if info.Retention.Covers(want) {
		want = info.Retention // another probe was here just now
	}
	said, is, err := p.retain(ctx, ref, want)
	switch {
	case err != nil:
		return ref, r, fmt.Errorf("%s: %w", rowLockLater, err)
	case said != "":
		p.seen[rowLockLater] = sight{gotDenied, said}
		return ref, r, nil
	case !is.Equal(want):
		p.seen[rowReadBack] = sight{is.String(), "asked for " + want.String()}
		return ref, r, nil
	}
	p.seen[rowLockLater], p.seen[rowReadBack] = sight{got: gotAllowed}, sight{got: gotSame}
	return ref, is, nil
}

// governance attacks an object under a short GOVERNANCE lock, last with the header that only an eraser's credentials may send.
func (p *prober) governance(ctx context.Context) error {
	ref, was, err := p.putLocked(ctx, "governance", Governance, probeLock)
	if err != nil {
		return err
	}
	if gone, err := p.deleteRow(ctx, rowGovernance, ref, false); err != nil || gone {
		return err
	}
	p.inTime(rowGovernance, was)
	if err := p.setRow(ctx, rowGovernanceSooner, ref, was, Retention{Governance, was.Until.Add(-time.Second)}); err != nil {
		return err
	}
	p.inTime(rowGovernanceSooner, was)
	_, err = p.deleteRow(ctx, rowBypass, ref, true)
	p.inTime(rowBypass, was)
	return err
}

// marker deletes a locked object by its key alone: that may hide it, and no more.
func (p *prober) marker(ctx context.Context) error {
	ref, lock, err := p.putLocked(ctx, "marker", Governance, probeLock)
	if err != nil {
		return err
	}
	err = p.s.core.RemoveObject(ctx, p.s.bucket, ref.Key, minio.RemoveObjectOptions{})
	said, err := p.answered(ctx, err)
	if err != nil {
		return fmt.Errorf("%s: %w", rowMarker, err)
	}
	info, err := p.s.stat(ctx, ref)
	if errors.Is(err, ErrNotFound) {
		p.seen[rowMarker] = sight{"version deleted", said}
		return nil
	} else if err != nil {
		return fmt.Errorf("%s: %w", rowMarker, err)
	}
	shown, err := p.there(ctx, Ref{Key: ref.Key})
	if err != nil {
		return fmt.Errorf("%s: %w", rowMarker, err)
	}
	switch {
	case said != "":
		p.seen[rowMarker] = sight{gotDenied, said}
	case shown:
		p.seen[rowMarker] = sight{got: "no marker"}
	case !info.Retention.Equal(lock):
		p.seen[rowMarker] = sight{"marker, lock not shown", fmt.Sprintf("behind a marker the retention of a version reads %v", info.Retention)}
	default:
		p.seen[rowMarker] = sight{got: gotMarker}
	}
	return nil
}

// hold sets a legal hold, and tries to delete what it holds with the header for GOVERNANCE, which must not matter to it.
func (p *prober) hold(ctx context.Context) error {
	ref, err := p.put(ctx, "hold")
	if err != nil {
		return err
	}
	set := func(status minio.LegalHoldStatus) (said string, err error) {
		err = p.s.core.PutObjectLegalHold(ctx, p.s.bucket, ref.Key, minio.PutObjectLegalHoldOptions{Status: &status, VersionID: ref.VersionID})
		return p.answered(ctx, err)
	}
	said, err := set(minio.LegalHoldEnabled)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", rowHold, err)
	case strings.HasPrefix(said, "403 "):
		p.seen[rowHold] = sight{gotNotPermitted, said}
	case said != "":
		p.seen[rowHold] = sight{"not supported", said}
	default:
		if gone, err := p.deleteRow(ctx, rowHold, ref, true); err != nil || gone {
			return err
		}
		if _, err := set(minio.LegalHoldDisabled); err != nil {
			return fmt.Errorf("%s: %w", rowHold, err)
		}
	}
	_, err = p.answered(ctx, p.s.core.RemoveObject(ctx, p.s.bucket, ref.Key, minio.RemoveObjectOptions{VersionID: ref.VersionID}))
	return err
}

// batch deletes in one request what is not locked any more and what is, in this order: an answer for the first is none for the second.
func (p *prober) batch(ctx context.Context, expired Ref) error {
	locked, r, err := p.putLocked(ctx, "batch", Compliance, probeLock)
	if err != nil {
		return err
	}
	info, err := p.s.stat(ctx, expired)
	if err != nil {
		return fmt.Errorf("%s: %w", rowBatch, err)
	}
	if err := p.wait(ctx, info.Retention.Until.Add(probeMargin)); err != nil {
		return err
	}
	objects := make(chan minio.ObjectInfo, 2)
	objects <- minio.ObjectInfo{Key: expired.Key, VersionID: expired.VersionID}
	objects <- minio.ObjectInfo{Key: locked.Key, VersionID: locked.VersionID}
	close(objects)
	var words []string
	for result := range p.s.core.RemoveObjectsWithResult(ctx, p.s.bucket, objects, minio.RemoveObjectsOptions{}) {
		if result.Err == nil {
			continue
		}
		words = append(words, minio.ToErrorResponse(result.Err).Code)
	}
	first, err := p.there(ctx, expired)
	if err != nil {
		return fmt.Errorf("%s: %w", rowBatch, err)
	}
	second, err := p.there(ctx, locked)
	if err != nil {
		return fmt.Errorf("%s: %w", rowBatch, err)
	}
	p.seen[rowBatch] = sight{batchWord(!first, !second), strings.Join(words, ", ")}
	p.inTime(rowBatch, r)
	return nil
}

// batchWord says what became of the expired and the locked object of a batch.
func batchWord(expired, locked bool) string {
	switch {
	case expired && locked:
		return "both deleted"
	case locked:
		return "the locked one deleted"
	case expired:
		return gotHalf
	}
	return gotNone
}

// wait waits until a time by the service's clock.
func (p *prober) wait(ctx context.Context, until time.Time) error {
	timer := time.NewTimer(until.Sub(p.serviceNow()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// once writes a key that has an object, on the condition that it has none.
func (p *prober) once(ctx context.Context) error {
	ref, err := p.put(ctx, "once")
	if err != nil {
		return err
	}
	other := []byte("something else")
	c, err := hashContent(ctx, bytes.NewReader(other), int64(len(other)), p.s.partSize)
	if err != nil {
		return err
	}
	id, err := p.s.upload(ctx, ref.Key, c, PutOptions{})
	return p.wrote(ctx, rowOnce, ref, id, err)
}

// onceParts does the same with an upload in parts, where the condition counts at its end.
func (p *prober) onceParts(ctx context.Context) error {
	ref, err := p.put(ctx, "parts")
	if err != nil {
		return err
	}
	other := []byte("something else, in parts")
	sum := sha256.Sum256(other)
	c := &content{r: bytes.NewReader(other), size: int64(len(other)), partSize: int64(len(other)), sum: hex.EncodeToString(sum[:]), parts: [][]byte{sum[:]}}
	opts := minio.PutObjectOptions{UserMetadata: map[string]string{}, DisableContentSha256: true}
	opts.SetMatchETagExcept("*")
	id, err := p.s.uploadParts(ctx, ref.Key, c, opts)
	return p.wrote(ctx, rowOnceParts, ref, id, err)
}

// wrote notes what became of a write over an object, and removes both.
func (p *prober) wrote(ctx context.Context, row string, ref Ref, id string, err error) error {
	said, err := p.answered(ctx, err)
	if err != nil {
		return fmt.Errorf("%s: %w", row, err)
	}
	p.seen[row] = sight{gotDenied, said}
	if said == "" {
		p.seen[row] = sight{gotAllowed, "200"}
	}
	for _, v := range []string{ref.VersionID, id} {
		if v == "" {
			continue
		}
		if _, err := p.answered(ctx, p.s.core.RemoveObject(ctx, p.s.bucket, ref.Key, minio.RemoveObjectOptions{VersionID: v})); err != nil {
			return fmt.Errorf("%s: %w", row, err)
		}
	}
	return nil
}
