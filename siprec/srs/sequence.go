package srs

// A sequence is a dialog's remote sequence number (RFC 3261 section 12.2.2).
type sequence struct{ last uint32 }

// A verdict says what to do with a request by its CSeq.
type verdict int

const (
	proceed verdict = iota
	stale           // lower than, or equal to, one that was accepted
	ahead           // a lower one may still be under way
)

func (s *sequence) judge(n uint32) verdict {
	switch {
	case n <= s.last:
		return stale
	case n > s.last+1:
		return ahead
	}
	return proceed
}

func (s *sequence) accept(n uint32) { s.last = max(s.last, n) }
