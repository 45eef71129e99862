package srs

import (
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A refresher says who keeps a session alive (RFC 4028).
type refresher string

const (
	refresherUAC refresher = "uac"
	refresherUAS refresher = "uas"
)

// A timerOffer is what a request says about the session timer.
type timerOffer struct {
	interval  time.Duration // 0: nothing asked for
	refresher refresher     // "" when the client leaves it to us
	supported bool          // the client can refresh
	malformed bool
}

// A timerAnswer is what the 2xx says about it. The zero value is no session timer.
type timerAnswer struct {
	interval  time.Duration
	refresher refresher // of the transaction that it answers
	require   bool      // the 2xx needs Require: timer
}

// readTimer reads Session-Expires and whether the client supports the extension.
func readTimer(req *sip.Request) timerOffer {
	o := timerOffer{supported: hasToken(req, "timer", "supported", "k") || hasToken(req, "timer", "require")}
	values := fieldValues(req, "session-expires", "x")
	if len(values) == 0 {
		return o
	}
	seconds, params, _ := strings.Cut(values[0], ";")
	n, err := strconv.ParseUint(strings.TrimSpace(seconds), 10, 31)
	if err != nil || len(values) > 1 {
		o.malformed = true
		return o
	}
	o.interval = time.Duration(n) * time.Second
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(k), "refresher") {
			o.refresher = refresher(strings.ToLower(strings.TrimSpace(v)))
		}
	}
	return o
}

// answer decides by RFC 4028 section 9, table 2. The interval stays as asked, so that the request's Min-SE is always
// respected. The client refreshes wherever it may; when it must be us and we cannot
// (the client does not take UPDATE), the timer is declined by leaving it out.
func (o timerOffer) answer(weCanRefresh bool) timerAnswer {
	if o.interval == 0 {
		return timerAnswer{}
	}
	a := timerAnswer{interval: o.interval, refresher: refresherUAC, require: true}
	if !o.supported || o.refresher == refresherUAS {
		if !weCanRefresh {
			return timerAnswer{}
		}
		a.refresher, a.require = refresherUAS, o.supported
	}
	return a
}

// headers gives the header fields of the 2xx.
func (a timerAnswer) headers() []sip.Header {
	if a.interval == 0 {
		return nil
	}
	v := strconv.Itoa(int(a.interval/time.Second)) + ";refresher=" + string(a.refresher)
	hs := []sip.Header{sip.NewHeader("Session-Expires", v)}
	if a.require {
		hs = append(hs, sip.NewHeader("Require", "timer"))
	}
	return hs
}

// A sessionTimer is a dialog's session expiration.
type sessionTimer struct {
	interval  time.Duration
	expires   time.Time // zero: never
	refresh   time.Time // when we have to refresh; zero: the client does
	requested bool      // a refresh of ours is under way
}

// restart begins the interval anew: after a 2xx to a session refresh request in either direction.
func (t *sessionTimer) restart(a timerAnswer, now time.Time) {
	*t = sessionTimer{interval: a.interval}
	if a.interval == 0 {
		return
	}
	t.expires = now.Add(a.interval)
	if a.refresher == refresherUAS {
		t.refresh = now.Add(a.interval / 2)
	}
}

func (t *sessionTimer) expired(now time.Time) bool {
	return !t.expires.IsZero() && !now.Before(t.expires)
}

// due tells once per interval, and once more after each failure, that we have to refresh.
func (t *sessionTimer) due(now time.Time) bool {
	return !t.refresh.IsZero() && !t.requested && !now.Before(t.refresh)
}
