package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// ProbePrefix is where a probe works. Nothing else in the bucket is touched.
const ProbePrefix = "selftest/"

// Times of a probe.
const (
	ProbeTimeout = 2 * time.Minute // for the whole of it
	// probeLock is how long the short locks last. What is asked of a locked object has to be answered in this time.
	probeLock = 10 * time.Second
	// probeBrief is the lock that a probe waits for to end.
	probeBrief = 2 * time.Second
	// probeMargin is waited beyond its end: clocks of a service's own machines differ.
	probeMargin = time.Second
	// probeHour is the lock of the one object a day that is there to be attacked.
	probeHour = time.Hour
	// probeKeep is how old something of another probe is when it is taken for left over.
	probeKeep = ProbeTimeout
	// maxProbeLeft is how many leftovers one probe removes at most.
	maxProbeLeft = 1000
)

// ProbeOptions are those of a probe. The zero value is right for a server.
type ProbeOptions struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Keep is how old something in ProbePrefix is at least when it is removed as left over by an earlier probe. It must be longer
	// than a probe that may run at the same time. Zero means two minutes.
	Keep time.Duration
}

// Probe proves on the bucket itself that locks are locks: it locks objects of its own under ProbePrefix, for at most ten seconds and
// one a day for an hour, and tries with the store's own credentials what must not be possible. It takes some seconds, removes what
// earlier probes had to leave because it was locked, and may run while the store is used. An error says that it could not be done, not that the store
// failed; it wraps ErrUnavailable when the service did not answer.
func (s *S3) Probe(ctx context.Context, o ProbeOptions) (Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Keep == 0 {
		o.Keep = probeKeep
	}
	ctx, cancel := context.WithTimeout(ctx, ProbeTimeout)
	defer cancel()
	p := &prober{s: s, now: o.Now, keep: o.Keep, dir: ProbePrefix + "run/" + strings.ToLower(rand.Text()) + "/", seen: map[string]sight{}}
	if err := p.run(ctx); err != nil {
		return Report{}, fmt.Errorf("probe bucket %s: %w", s.bucket, err)
	}
	return judge(p.seen), nil
}

// A prober tries what a Store cannot even ask for: to shorten locks, to get around them, to delete several objects at once.
type prober struct {
	s    *S3
	now  func() time.Time
	keep time.Duration
	dir  string // of this probe's own objects
	skew time.Duration
	seen map[string]sight
}

// serviceNow is the time by the service's clock, which its locks end by.
func (p *prober) serviceNow() time.Time { return p.now().Add(p.skew) }

// run asks the bucket first, then the objects. It ends early when what follows could only fail for the same reason.
func (p *prober) run(ctx context.Context) error {
	if err := p.clock(ctx); err != nil {
		return err
	}
	if ready, err := p.bucket(ctx); err != nil || !ready {
		return p.blameClock(err)
	}
	p.clean(ctx)
	brief, _, err := p.putLocked(ctx, "brief", Governance, probeBrief) // its lock ends while the others are attacked
	if err != nil {
		return err
	}
	if may, err := p.unlocked(ctx); err != nil || !may {
		return err
	}
	for _, step := range []func(context.Context) error{p.compliance, p.governance, p.marker, p.hold, p.once, p.onceParts} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return p.batch(ctx, brief)
}

// clock reads the Date of an answer. It is asked without credentials: a service refuses signatures of another time.
func (p *prober) clock(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, p.s.core.EndpointURL().String(), nil)
	if err != nil {
		return fmt.Errorf("ask for the time: %w", err)
	}
	before := p.now()
	response, err := p.s.transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("ask for the time: %w", s3Error(ctx, err))
	}
	defer response.Body.Close()
	after := p.now()
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		p.seen[rowClock] = sight{got: gotNotChecked, said: "the service's answer has no Date"}
		return nil
	}
	// The header has whole seconds, cut off.
	p.skew = date.Add(time.Second / 2).Sub(before.Add(after.Sub(before) / 2))
	p.seen[rowClock] = judgeClock(p.skew)
	return nil
}

// blameClock tells of a clock that is wrong where everything fails for it.
func (p *prober) blameClock(err error) error {
	if err != nil && p.skew.Abs() > MaxClockSkew {
		return fmt.Errorf("the service's clock differs from ours by %v: set this machine's, or the service's, by NTP: %w", p.skew.Round(time.Second), err)
	}
	return err
}

// bucket asks for versioning, object lock and lifecycle. Without the first two there is nothing else to ask.
func (p *prober) bucket(ctx context.Context) (ready bool, err error) {
	c := p.s.core
	versioning, err := c.GetBucketVersioning(ctx, p.s.bucket)
	said, err := p.answered(ctx, err)
	if err != nil {
		return false, fmt.Errorf("ask for versioning: %w", err)
	}
	if said != "" || !versioning.Enabled() {
		p.seen[rowVersioning] = sight{"not enabled", said}
		return false, nil
	}
	p.seen[rowVersioning] = sight{got: gotEnabled}
	lock, mode, validity, unit, err := c.GetObjectLockConfig(ctx, p.s.bucket)
	if said, err = p.answered(ctx, err); err != nil {
		return false, fmt.Errorf("ask for object lock: %w", err)
	}
	_, err = p.s.lifecycle(ctx)
	switch {
	case errors.Is(err, ErrUnavailable) || ctx.Err() != nil:
		return false, fmt.Errorf("ask for lifecycle rules: %w", err)
	case err != nil:
		p.seen[rowLifecycle] = sight{"not readable", err.Error()}
	default:
		p.seen[rowLifecycle] = sight{got: gotReadable}
	}
	if said != "" || lock != minio.Enabled {
		p.seen[rowLock] = sight{"not enabled", said}
		return false, nil
	}
	p.seen[rowLock] = sight{got: gotEnabled}
	if mode != nil && validity != nil && unit != nil {
		p.seen[rowLock] = sight{"default retention", fmt.Sprintf("%s, %d %s: remove it, it would lock what may still have to be erased", *mode, *validity, *unit)}
	}
	return true, nil
}

// clean removes what earlier probes left, as far as their locks have ended, one version at a time. Today's attacked object stays.
func (p *prober) clean(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n, today := 0, p.dayKey()
	for o := range p.s.core.ListObjectsIter(ctx, p.s.bucket, minio.ListObjectsOptions{Prefix: ProbePrefix, Recursive: true, WithVersions: true}) {
		if n++; o.Err != nil || n > maxProbeLeft {
			return // the next probe goes on
		}
		if o.Key == today && !o.IsDeleteMarker || p.serviceNow().Sub(o.LastModified) < p.keep {
			continue
		}
		_ = p.s.core.RemoveObject(ctx, p.s.bucket, o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID}) // still locked: next time
	}
}

// dayKey is where the object of the day stands.
func (p *prober) dayKey() string { return ProbePrefix + "day/" + p.now().UTC().Format(time.DateOnly) }

// answered splits what came of a request: it was done (nothing said), it was refused (what the service said), or it was not answered.
func (p *prober) answered(ctx context.Context, err error) (said string, fatal error) {
	if err == nil {
		return "", nil
	}
	response := minio.ToErrorResponse(err)
	if status := response.StatusCode; status == http.StatusNotImplemented || status >= 300 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout {
		return fmt.Sprintf("%d %s", status, response.Code), nil
	}
	return "", s3Error(ctx, err)
}
