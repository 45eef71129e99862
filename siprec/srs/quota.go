package srs

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

// A quota is what one Source has used of what it may. One client that runs wild costs the others nothing, and us a bounded
// part of memory: sipgo keeps a transaction for half a minute whatever its answer was.
type quota struct {
	mu       sync.Mutex // protects what follows
	invites  bucket     // new sessions asked for
	others   bucket     // other requests outside of dialogs
	dialogs  bucket     // requests within dialogs, over UDP
	answers  bucket     // answers that are made without sipgo
	reports  bucket     // refusals that are reported one by one
	verdicts verdicts   // about INVITEs over UDP, for their repetitions
	tally    map[tallied]*count
}

// newQuota gives the buckets their sizes; the first second may bring what burst seconds may.
func newQuota(src *Source) *quota {
	rate := src.MaxRate
	if rate <= 0 {
		rate = defaultMaxRate
	}
	if src.Digest.asked() {
		rate *= 2 // each call comes twice: with and without credentials
	}
	full := func(rate float64) bucket {
		size := max(1, rate*rateBurst)
		return bucket{rate: rate, size: size, tokens: size}
	}
	return &quota{
		invites: full(rate), others: full(otherRate), dialogs: full(dialogRate), answers: full(answerRate), reports: full(reportRate),
		verdicts: verdicts{seed: maphash.MakeSeed()},
		tally:    map[tallied]*count{},
	}
}

// invite tells whether a new session may be asked for now.
func (q *quota) invite(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.invites.take(now)
}

// inviteOverUDP is invite for a request that may be a repetition: what was said of the first copy holds for the others, or
// one that is being recorded already could be told that it is refused.
func (q *quota) inviteOverUDP(req *sip.Request, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := q.verdicts.key(req)
	if taken, ok := q.verdicts.find(key); ok {
		return taken
	}
	taken := q.invites.take(now)
	q.verdicts.remember(key, taken, now)
	return taken
}

// other tells whether another request outside of a dialog may be served now.
func (q *quota) other(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.others.take(now)
}

// within tells whether a request of an open dialog may be served now.
func (q *quota) within(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dialogs.take(now)
}

// answer tells whether what is not handed to sipgo may have an answer now.
func (q *quota) answer(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.answers.take(now)
}

// report tells whether a refusal may be reported by itself; one that may not is counted.
func (q *quota) report(r Refused, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.reports.take(now) {
		return true
	}
	q.add(r)
	return false
}

// count counts a refusal that is never reported by itself.
func (q *quota) count(r Refused) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(r)
}

// tallied are the refusals that are summed up: those that are alike.
type tallied struct {
	status int
	cause  string
	kind   siprec.RefusalKind
	reason string
}

type count struct {
	n        int
	reported time.Time
}

// add counts a refusal; mu is held. Reasons are ours, but some quote a little of what was sent: what there are too many of is
// counted without its reason.
func (q *quota) add(r Refused) {
	k := tallied{status: r.Status, cause: r.Cause, kind: r.Kind, reason: r.Reason}
	if q.tally[k] == nil && len(q.tally) >= maxTallied {
		k.reason = "refused often"
	}
	if q.tally[k] == nil {
		q.tally[k] = &count{}
	}
	q.tally[k].n++
}

// summary takes what was counted, and is due: at once what has been quiet, and then at most every summaryInterval.
func (q *quota) summary(src string, now time.Time, all bool) (out []Refused) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for k, c := range q.tally {
		quiet := now.Sub(c.reported) >= summaryInterval || now.Before(c.reported)
		switch {
		case c.n == 0 && quiet:
			delete(q.tally, k)
		case c.n > 0 && (quiet || all):
			out = append(out, Refused{SRC: src, Status: k.status, Kind: k.kind, Cause: k.cause, Reason: k.reason, At: now, Count: c.n})
			c.n, c.reported = 0, now
		}
	}
	return out
}

// verdicts remember what was decided about INVITEs, for as long as a client repeats one (RFC 3261 timer B). There are two
// generations; the older one goes as a whole.
type verdicts struct {
	seed     maphash.Seed
	old, new map[uint64]bool
	turned   time.Time // when the generations last changed
}

// key is the same for the copies of one INVITE.
func (v *verdicts) key(req *sip.Request) uint64 {
	var h maphash.Hash
	h.SetSeed(v.seed)
	write := func(s string) {
		_, _ = h.WriteString(s) // of a maphash: cannot fail
		_ = h.WriteByte(0)
	}
	if via := req.Via(); via != nil {
		branch, _ := via.Params.Get("branch")
		write(branch)
		write(via.Host)
	}
	if from := req.From(); from != nil {
		tag, _ := from.Params.Get("tag")
		write(tag)
	}
	if id := req.CallID(); id != nil {
		write(id.Value())
	}
	if seq := req.CSeq(); seq != nil {
		write(seq.Value())
	}
	return h.Sum64()
}

func (v *verdicts) find(key uint64) (taken, ok bool) {
	if taken, ok = v.new[key]; !ok {
		taken, ok = v.old[key]
	}
	return taken, ok
}

// remember keeps a verdict. When there are too many, only those that took something are kept: the bucket bounds them.
func (v *verdicts) remember(key uint64, taken bool, now time.Time) {
	if v.new == nil || now.Sub(v.turned) >= verdictTime || now.Before(v.turned) {
		v.old, v.new, v.turned = v.new, map[uint64]bool{}, now
	}
	if taken || len(v.new) < maxVerdicts {
		v.new[key] = taken
	}
}
