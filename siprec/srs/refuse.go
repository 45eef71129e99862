package srs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/greffier/greffier/siprec"
)

// Refused is a request that was not accepted. It is for counting and for evidence; it holds nothing of the body.
type Refused struct {
	Source netip.AddrPort // where the request came from
	SRC    string         // the Source that matched, or ""
	CallID string         // as it came, cut off at 512 bytes
	Method string
	Status int // the SIP status of the answer
	Kind   siprec.RefusalKind
	Cause  string // of a 503, 401 or summary: which limit or state it was, as CauseDraining; or ""
	Reason string // what the client was told
	At     time.Time

	// Count is how many requests this stands for: 1, or more when more came than are reported one by one; then
	// only SRC, Status, Kind, Cause, Reason and At are set besides.
	Count int
}

// What a Refused may name as its Cause; a Recorder's Refusal names others.
const (
	CauseDraining       = "draining"        // Drain or Close was called
	CauseSessions       = "sessions"        // Config.MaxDialogs
	CauseHalfOpen       = "half_open"       // too many INVITEs wait for their answer
	CauseSourceRate     = "source_rate"     // Source.MaxRate
	CauseSourceSessions = "source_sessions" // Source.MaxSessions
	CauseGarbage        = "garbage"         // a message that is no SIP, from a known source
	CauseUnfinished     = "unfinished"      // a message over TCP that did not become whole in time
	CauseOversized      = "oversized"       // a message over TCP that is too long
	CauseCredentials    = "credentials"     // credentials that are wrong; who sends none is asked, and not reported
)

// A failure is why a request of a known source is refused.
type failure struct {
	status     int
	kind       siprec.RefusalKind
	reason     string        // shown to the client
	retryAfter time.Duration // 0: no Retry-After, or the default one for 503
	headers    []sip.Header
	limit      string // Refused.Cause
	err        error  // for our log only
}

func malformed(format string, args ...any) *failure {
	return &failure{status: 400, kind: siprec.Malformed, reason: fmt.Sprintf(format, args...)}
}

func internal(reason string, err error) *failure {
	return &failure{status: 500, kind: siprec.Internal, reason: reason, err: err}
}

func unavailable(reason string) *failure {
	return &failure{status: 503, kind: siprec.Unavailable, reason: reason}
}

// busy is an unavailable with a cause.
func busy(cause, reason string) *failure {
	f := unavailable(reason)
	f.limit = cause
	return f
}

func noSuchDialog() *failure {
	return &failure{status: 481, kind: siprec.Malformed, reason: "there is no such dialog"}
}

// overlapping refuses a request that came too early after another one of its dialog (RFC 3261 section 14.2, RFC 3311
// section 5.2).
func overlapping() *failure {
	return &failure{
		status: 500, kind: siprec.Unavailable, reason: "the request before this one is not answered yet",
		headers: []sip.Header{sip.NewHeader("Retry-After", strconv.Itoa(rand.IntN(maxRetryAfter+1)))},
	}
}

// crossing refuses a request that met one of ours on the way (RFC 3261 section 14.2, RFC 3311 section 5.2).
func crossing(reason string) *failure {
	return &failure{status: 491, kind: siprec.Unavailable, reason: reason}
}

// failureOf turns a Recorder's error into an answer.
func failureOf(err error) *failure {
	var r *siprec.Refusal
	if !errors.As(err, &r) {
		return internal("internal error", err)
	}
	f := &failure{kind: r.Kind, reason: r.Reason, retryAfter: r.RetryAfter, limit: r.Cause, err: r.Err}
	switch r.Kind {
	case siprec.Malformed:
		f.status = 400
	case siprec.UnknownSource:
		f.status = 403
	case siprec.Unsupported:
		f.status = 420
	case siprec.NoMedia:
		f.status = 488
	case siprec.Unavailable:
		f.status = 503
	case siprec.Declined:
		f.status = 603
	default:
		f.status, f.kind = 500, siprec.Internal
	}
	return f
}

// fields are the header fields that say why, for the client's operator (RFC 3261 section 20.43).
func (f *failure) fields() []sip.Header {
	hs := f.headers
	retry := f.retryAfter
	if f.status == 503 && retry == 0 {
		retry = defaultRetryAfter
	}
	if retry > 0 {
		seconds := int((retry + time.Second - 1) / time.Second)
		hs = append(hs[:len(hs):len(hs)], sip.NewHeader("Retry-After", strconv.Itoa(seconds)))
	}
	if f.reason != "" {
		hs = append(hs[:len(hs):len(hs)], sip.NewHeader("Warning", "399 greffier "+quoted(f.reason)))
	}
	return hs
}

// quoted writes a quoted-string (RFC 3261 section 25.1) that no text can break out of.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// refuse answers a request, once, and reports it.
func (s *Server) refuse(in *inbound, f *failure) {
	if in.answered {
		return
	}
	in.answered = true
	r := Refused{
		Source: in.from, SRC: in.src.Name, CallID: in.callID(), Method: string(in.req.Method),
		Status: f.status, Kind: f.kind, Cause: f.limit, Reason: f.reason, At: in.at, Count: 1,
	}
	if s.screen.quotas[in.src].report(r, in.at) {
		s.report(r, f.err)
	}
	if in.req.IsAck() {
		return
	}
	if err := in.tx.Respond(in.response(f.status, phrase(f.status), nil, f.fields()...)); err != nil {
		s.log.Debug("refusal not sent", zap.String("call_id", in.callID()), zap.Error(err))
	}
}

func (s *Server) report(r Refused, cause error) {
	s.log.Warn("sip request refused",
		zap.Stringer("source", r.Source), zap.String("src", r.SRC), zap.String("call_id", r.CallID),
		zap.String("method", r.Method), zap.Int("status", r.Status), zap.String("kind", string(r.Kind)), zap.String("cause", r.Cause),
		zap.String("reason", r.Reason), zap.Int("count", r.Count), zap.Error(cause))
	if s.cfg.Refused != nil {
		s.cfg.Refused(r)
	}
}

func phrase(status int) string {
	switch status {
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 405:
		return "Method Not Allowed"
	case 413:
		return "Request Entity Too Large"
	case 415:
		return "Unsupported Media Type"
	case 416:
		return "Unsupported URI Scheme"
	case 420:
		return "Bad Extension"
	case 422:
		return "Session Interval Too Small"
	case 481:
		return "Call/Transaction Does Not Exist"
	case 482:
		return "Loop Detected"
	case 488:
		return "Not Acceptable Here"
	case 491:
		return "Request Pending"
	case 503:
		return "Service Unavailable"
	case 505:
		return "Version Not Supported"
	case 603:
		return "Decline"
	}
	return "Server Internal Error"
}
