package srs

import "time"

// A schedule says when to send a 2xx to an INVITE again: after T1, then at intervals that double up to T2, until 64*T1 have
// passed (RFC 3261 section 13.3.1.4).
type schedule struct {
	t2        time.Duration
	interval  time.Duration
	remaining time.Duration
}

func newSchedule(t1, t2 time.Duration) *schedule {
	return &schedule{t2: t2, interval: t1, remaining: 64 * t1}
}

// next gives the time to wait, and whether to send again after it; when not, the ACK will not come any more.
func (s *schedule) next() (wait time.Duration, again bool) {
	wait = s.interval
	if wait >= s.remaining {
		wait, s.remaining = s.remaining, 0
		return wait, false
	}
	s.remaining -= wait
	s.interval = min(2*s.interval, s.t2)
	return wait, true
}
