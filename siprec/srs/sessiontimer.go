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
func readTimer(m sip.Message) timerOffer {
	o := timerOffer{supported: hasToken(m, "timer", "supported", "k") || hasToken(m, "timer", "require")}
	values := fieldValues(m, "session-expires", "x")
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
// (the client takes neither UPDATE nor re-INVITE), the timer is declined by leaving it out.
func (o timerOffer) answer(weCanRefresh bool) timerAnswer {
	if o.interval < minSessionExpires { // none, or one that no timer may have
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

// minSEOf reads the shortest interval that everybody on the way accepts (RFC 4028 section 5); 0 when it is not said.
func minSEOf(m sip.Message) time.Duration {
	values := fieldValues(m, "min-se")
	if len(values) != 1 {
		return 0
	}
	seconds, _, _ := strings.Cut(values[0], ";")
	n, err := strconv.ParseUint(strings.TrimSpace(seconds), 10, 31)
	if d := time.Duration(n) * time.Second; err == nil && d >= minSessionExpires { // less means nothing (section 5)
		return d
	}
	return 0
}

// A sessionTimer is a dialog's session expiration.
type sessionTimer struct {
	interval  time.Duration
	expires   time.Time // when we give the session up; zero: never
	refresh   time.Time // when we have to refresh; zero: the client does
	requested bool      // a refresh of ours is under way
}

// restart begins the interval anew: after a 2xx to a session refresh request in either direction. We give up a little before
// its end, as firewalls do at its end (RFC 4028 section 10).
func (t *sessionTimer) restart(a timerAnswer, now time.Time) {
	*t = sessionTimer{interval: a.interval}
	if a.interval == 0 {
		return
	}
	t.expires = now.Add(a.interval - min(maxExpiryMargin, a.interval/3))
	if a.refresher == refresherUAS {
		t.refresh = now.Add(a.interval / 2)
	}
}

// retry has a refresh that failed tried again soon.
func (t *sessionTimer) retry(now time.Time) {
	t.requested = false
	if !t.refresh.IsZero() {
		t.refresh = now.Add(refreshRetry)
	}
}

func (t *sessionTimer) expired(now time.Time) bool {
	return !t.expires.IsZero() && !now.Before(t.expires)
}

// due tells once per interval, and once more after each failure, that we have to refresh.
func (t *sessionTimer) due(now time.Time) bool {
	return !t.refresh.IsZero() && !t.requested && !now.Before(t.refresh)
}

// ask gives the header fields of a session refresh request of ours (RFC 4028 section 7.4): who refreshes stays who it is.
func (t *sessionTimer) ask(minSE time.Duration) []sip.Header {
	var hs []sip.Header
	if t.interval > 0 {
		by := refresherUAS
		if !t.refresh.IsZero() {
			by = refresherUAC // of this transaction, that is us
		}
		v := strconv.Itoa(int(max(t.interval, minSE)/time.Second)) + ";refresher=" + string(by)
		hs = append(hs, sip.NewHeader("Session-Expires", v))
	}
	if minSE > 0 {
		hs = append(hs, sip.NewHeader("Min-SE", strconv.Itoa(int(minSE/time.Second))))
	}
	return hs
}

// answered begins the interval anew as the 2xx to a request of ours says (RFC 4028 section 7.2). One that says nothing turns the
// timer off when refreshing was the client's; when it is ours we go on alone.
func (t *sessionTimer) answered(o timerOffer, minSE time.Duration, now time.Time) {
	ours := !t.refresh.IsZero()
	a := timerAnswer{interval: max(o.interval, minSessionExpires), refresher: refresherUAC}
	switch {
	case o.interval == 0 && (!ours || t.interval == 0):
		a = timerAnswer{}
	case o.interval == 0:
		a = timerAnswer{interval: max(t.interval, minSE), refresher: refresherUAS}
	case o.refresher == refresherUAC, ours && o.refresher == "": // of our transaction; one that is left out stays who it was
		a.refresher = refresherUAS
	}
	t.restart(a, now)
}
