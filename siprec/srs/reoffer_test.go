package srs_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// replyWith answers a request of the server's with more than a status.
func (c *caller) replyWith(m message, status, contentType, body string, extra ...string) {
	c.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %s\r\n", status)
	for _, name := range []string{"Via", "From", "To", "Call-Id", "Cseq"} {
		for _, v := range m.header[name] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	if !slices.ContainsFunc(extra, func(line string) bool { return strings.HasPrefix(line, "Contact:") }) {
		fmt.Fprintf(&b, "Contact: <sip:src@%s;transport=%s>;+sip.src\r\n", c.conn.LocalAddr(), strings.ToLower(c.via))
	}
	for _, line := range extra {
		b.WriteString(line + "\r\n")
	}
	if contentType != "" {
		b.WriteString("Content-Type: " + contentType + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	c.send(b.String())
}

// accept answers a re-INVITE of the server's with a description, and gives the ACK.
func (c *caller) accept(m message, directions ...string) message {
	c.t.Helper()
	c.replyWith(m, "200 OK", "application/sdp", offer(directions...))
	return c.request("ACK")
}

// ackRefusal acknowledges the refusal of the last INVITE, inside its transaction.
func (c *caller) ackRefusal() {
	c.t.Helper()
	branch := c.branch
	c.send(strings.Replace(c.compose("ACK", "", ""), c.branch, branch, 1))
}

// dialog is the identifier that the server has for it.
func (c *caller) dialog() siprec.DialogID {
	return siprec.DialogID{CallID: c.callID, LocalTag: c.toTag, RemoteTag: c.tag}
}

// offering is what a Recorder wants of two m-lines.
func offering(directions ...siprec.Direction) siprec.Answer {
	a := siprec.Answer{}
	for i, d := range directions {
		a.Media = append(a.Media, siprec.AnswerMedia{
			Port: 41000 + 2*i, Direction: d,
			Formats: []siprec.Format{{PayloadType: 8, Encoding: "PCMA", ClockRate: 8000, Channels: 1}},
		})
	}
	return a
}

// reoffer begins a Reoffer and gives its result when it has one.
func (r *rig) reoffer(ctx context.Context, c *caller, directions ...siprec.Direction) <-chan error {
	done := make(chan error, 1)
	go func() { done <- r.server.Reoffer(ctx, c.dialog(), offering(directions...)) }()
	return done
}

// hurried is a rig whose server does not wait long for answers.
func hurried(t *testing.T, rec *fakeRecorder, setup ...func(*srs.Config)) *rig {
	t.Helper()
	rec.hurried = true
	return start(t, rec, setup...)
}

// only sets a source's profile.
func only(src srs.Source) func(*srs.Config) {
	src.Name, src.Prefixes = "sbc", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	return func(c *srs.Config) { c.Sources = []srs.Source{src} }
}

// TestReoffer follows a re-INVITE of ours: what it says, its ACK, what the Recorder hears, and what comes after it.
func TestReoffer(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := start(t, rec)
		c := r.dial(network).caller()
		first := c.open(multipartType, both("sendonly", "sendonly"),
			"Record-Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>")
		session, v0 := version(t, first.body)

		done := r.reoffer(t.Context(), c, siprec.Inactive, siprec.RecvOnly)
		m := c.request("INVITE")
		for name, want := range map[string]string{
			"Route": "<sip:p1.example.com;lr>", "Content-Type": "application/sdp", "Cseq": "1 INVITE", "Call-Id": c.callID,
			"Supported": "siprec, timer", "Session-Expires": "", "Require": "", "User-Agent": "Greffier", "Server": "",
			"Allow": "INVITE, ACK, CANCEL, BYE, UPDATE, INFO, OPTIONS", "Max-Forwards": "70",
		} {
			if got := m.header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if !strings.Contains(m.header.Get("Contact"), ";+sip.srs") || len(m.header["Route"]) != 2 {
			t.Errorf("INVITE %v", m.header)
		}
		if !strings.Contains(m.header.Get("From"), "tag="+c.toTag) || !strings.Contains(m.header.Get("To"), "tag="+c.tag) {
			t.Errorf("INVITE %v", m.header)
		}
		s, v1 := version(t, m.body)
		if s != session || v1 == v0 {
			t.Errorf("o= has %s %s after %s %s", s, v1, session, v0)
		}
		for _, want := range []string{
			"m=audio 41000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=inactive\r\na=label:1\r\n",
			"m=audio 41002 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=recvonly\r\na=label:2\r\n",
		} {
			if !strings.Contains(m.body, want) {
				t.Errorf("offer %q has no %q", m.body, want)
			}
		}

		// The answer names no stream, has metadata beside it, and moves the client.
		body := multipart([2]string{"application/sdp", strings.ReplaceAll(offer("inactive", "sendonly"), "a=label:", "a=x-label:")},
			[2]string{metadataType, metadata("alice")})
		c.replyWith(m, "200 OK", multipartType, body, "Contact: <sip:elsewhere@192.0.2.7>")
		ack := c.request("ACK")
		if ack.start != "ACK sip:elsewhere@192.0.2.7 SIP/2.0" {
			t.Errorf("ACK is %q", ack.start)
		}
		if ack.cseq() != "1 ACK" || ack.body != "" || len(ack.header["Route"]) != 2 {
			t.Errorf("ACK %v", ack.header)
		}
		if err := take(t, "result", done); err != nil {
			t.Fatal(err)
		}
		u := take(t, "Update", rec.updates)
		if !u.Answered || u.Offer == nil || u.Metadata == nil || u.At.IsZero() {
			t.Fatalf("update %+v", u)
		}
		if o := u.Offer.Media; o[0].Label != "1" || o[1].Label != "2" || o[0].Direction != siprec.Inactive || o[1].Direction != siprec.SendOnly {
			t.Errorf("update %+v", u.Offer)
		}

		if network == "udp" { // the ACK was lost
			c.replyWith(m, "200 OK", multipartType, body)
			if again := c.request("ACK"); again.cseq() != "1 ACK" || again.start != ack.start {
				t.Errorf("ACK %q %v", again.start, again.header)
			}
		}
		if len(rec.updates) != 0 {
			t.Error("the 200 counted twice")
		}
		// The client's next offer is answered as ever, with a new version.
		ok := c.expect(c.ask("INVITE", "application/sdp", offer("sendonly", "sendonly")), 200)
		c.ack("", "")
		if _, v := version(t, ok.body); v == v0 || v == v1 {
			t.Errorf("version %s again", v)
		}
		c.bye()
	})
}

// TestPauseAndResume: the client is inactive because we were, which does not bind our next offer.
func TestPauseAndResume(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly", "sendonly"))
	for i, d := range []siprec.Direction{siprec.Inactive, siprec.RecvOnly, siprec.Inactive, siprec.RecvOnly} {
		done := r.reoffer(t.Context(), c, d, d)
		m := c.request("INVITE")
		if strings.Count(m.body, "a="+string(d)) != 2 || m.cseq() != fmt.Sprint(i+1, " INVITE") {
			t.Errorf("offer %d: %q", i, m.body)
		}
		answer := "sendonly"
		if d == siprec.Inactive {
			answer = "inactive"
		}
		c.accept(m, answer, answer)
		if err := take(t, "result", done); err != nil {
			t.Fatal(err)
		}
	}
	c.bye()
}

// TestReofferRefused: the session is as before, and the refusal is acknowledged in its transaction.
func TestReofferRefused(t *testing.T) {
	for _, x := range []struct {
		status string
		want   int
		gone   bool
	}{{"488 Not Acceptable Here", 488, false}, {"503 Busy", 503, false}, {"481 Gone", 0, true}, {"408 Timeout", 0, true}} {
		t.Run(x.status, func(t *testing.T) {
			each(t, func(t *testing.T, network string) {
				rec := newFake(t)
				r := start(t, rec)
				c := r.dial(network).caller()
				first := c.open(multipartType, both("sendonly", "sendonly"))
				done := r.reoffer(t.Context(), c, siprec.Inactive, siprec.Inactive)
				m := c.request("INVITE")
				c.replyWith(m, x.status, "", "", "Retry-After: 7 (busy);duration=3")
				if ack := c.request("ACK"); ack.header.Get("Via") != m.header.Get("Via") || ack.cseq() != "1 ACK" {
					t.Errorf("ACK %v", ack.header)
				}
				err := take(t, "result", done)
				var refused *srs.RequestError
				if errors.Is(err, srs.ErrGone) != x.gone || errors.As(err, &refused) == x.gone {
					t.Fatalf("result %v", err)
				}
				if !x.gone && (refused.Status != x.want || refused.Method != "INVITE" || refused.RetryAfter != 7*time.Second) {
					t.Errorf("result %+v", refused)
				}
				_, refusedVersion := version(t, m.body)
				if ok := c.expect(c.ask("INVITE", "", ""), 200); ok.body != first.body {
					t.Errorf("description %q, was %q", ok.body, first.body)
				}
				c.ack("", "")
				done = r.reoffer(t.Context(), c, siprec.RecvOnly, siprec.Inactive)
				m = c.request("INVITE")
				if _, v := version(t, m.body); v == refusedVersion {
					t.Errorf("version %s again", v)
				}
				c.accept(m, "sendonly", "inactive")
				if err := take(t, "result", done); err != nil {
					t.Error(err)
				}
				c.bye()
				if len(rec.updates) != 1 {
					t.Errorf("%d updates", len(rec.updates))
				}
			})
		})
	}
}

// TestGlare: while our INVITE is open the client's INVITEs and offers are refused, and nothing else is.
func TestGlare(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := start(t, rec)
		c := r.dial(network).caller()
		c.open(multipartType, both("sendonly", "sendonly"))
		done := r.reoffer(t.Context(), c, siprec.Inactive, siprec.Inactive)
		m := c.request("INVITE")
		c.expect(c.ask("INVITE", "application/sdp", offer("sendonly", "inactive")), 491)
		c.ackRefusal()
		c.expect(c.ask("UPDATE", "application/sdp", offer("sendonly", "inactive")), 491)
		c.expect(c.ask("UPDATE", metadataType, metadata("alice")), 200)
		c.expect(c.ask("INFO", metadataType, metadata("bob")), 200)
		c.expect(c.ask("OPTIONS", "", ""), 200)
		for range 2 {
			if u := take(t, "Update", rec.updates); u.Offer != nil {
				t.Errorf("update %+v", u)
			}
		}
		c.accept(m, "inactive", "inactive")
		c.expect(c.ask("INVITE", "application/sdp", offer("sendonly", "inactive")), 200)
		c.ack("", "")
		if err := take(t, "result", done); err != nil {
			t.Error(err)
		}
		for _, answered := range []bool{true, false} {
			if u := take(t, "Update", rec.updates); u.Answered != answered || u.Offer == nil {
				t.Errorf("update %+v", u)
			}
		}
		c.bye()
	})
}

// TestTheirInviteWasFirst sends ours again after a 491, a few times.
func TestTheirInviteWasFirst(t *testing.T) {
	rec := newFake(t)
	r := hurried(t, rec)
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly", "sendonly"))
	done := r.reoffer(t.Context(), c, siprec.Inactive, siprec.Inactive)
	for range 2 {
		c.reply(c.request("INVITE"), "491 Request Pending")
		c.request("ACK")
	}
	c.accept(c.request("INVITE"), "inactive", "inactive")
	if err := take(t, "result", done); err != nil {
		t.Error(err)
	}
	done = r.reoffer(t.Context(), c, siprec.RecvOnly, siprec.RecvOnly)
	for range 5 {
		c.reply(c.request("INVITE"), "491 Request Pending")
	}
	var refused *srs.RequestError
	if err := take(t, "result", done); !errors.As(err, &refused) || refused.Status != 491 {
		t.Errorf("result %v", err)
	}
	take(t, "Update", rec.updates)

	// What the client has changed makes our answer one to another description.
	c.expect(c.ask("UPDATE", "application/sdp", offer("sendonly", "sendonly", "sendonly")), 200)
	if err := take(t, "result", r.reoffer(t.Context(), c, siprec.RecvOnly, siprec.RecvOnly)); !errors.Is(err, srs.ErrChanged) {
		t.Errorf("result %v", err)
	}
	c.bye()
}

// TestReofferWaits: an INVITE of the client's that is not acknowledged comes first, with an offer and without.
func TestReofferWaits(t *testing.T) {
	for name, body := range map[string]string{"offer": offer("sendonly", "inactive"), "no offer": ""} {
		t.Run(name, func(t *testing.T) {
			rec := newFake(t)
			r := start(t, rec)
			c := r.dial("udp").caller()
			c.open(multipartType, both("sendonly", "sendonly"))
			kind, answer := "application/sdp", ""
			if body == "" {
				kind, answer = "", offer("sendonly", "inactive")
			}
			c.expect(c.ask("INVITE", kind, body), 200)
			done := r.reoffer(t.Context(), c, siprec.Inactive, siprec.Inactive)
			cut, cancel := context.WithCancel(t.Context())
			cancelled := r.reoffer(cut, c, siprec.Inactive, siprec.Inactive)
			cancel()
			if err := take(t, "result", cancelled); !errors.Is(err, context.Canceled) {
				t.Errorf("result %v", err)
			}
			for range 20 {
				cseq := c.ask("INFO", "", "")
				c.until("200", func(m message) bool {
					if m.method() == "INVITE" {
						t.Fatal("our INVITE did not wait")
					}
					return m.cseq() == cseq
				})
			}
			after := c.seq
			c.seq = 2
			c.ack("application/sdp", answer)
			c.seq = after
			m := c.request("INVITE")
			if u := take(t, "Update", rec.updates); u.Answered != (body == "") || u.Offer.Media[1].Direction != siprec.Inactive {
				t.Errorf("update %+v", u)
			}
			c.accept(m, "inactive", "inactive")
			if err := take(t, "result", done); err != nil {
				t.Error(err)
			}
			c.bye()
		})
	}
}

// TestSilentClient: no answer at all, or only provisional ones, which brings a CANCEL.
func TestSilentClient(t *testing.T) {
	rec := newFake(t)
	r := hurried(t, rec)
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly", "sendonly"))
	done := r.reoffer(t.Context(), c, siprec.Inactive, siprec.Inactive)
	c.request("INVITE")
	if err := take(t, "result", done); !errors.Is(err, srs.ErrSilent) {
		t.Errorf("result %v", err)
	}
	done = r.reoffer(t.Context(), c, siprec.Inactive, siprec.Inactive)
	m := c.until("second INVITE", func(m message) bool { return m.cseq() == "2 INVITE" })
	c.reply(m, "183 Progress")
	cancel := c.request("CANCEL")
	if cancel.header.Get("Via") != m.header.Get("Via") || cancel.cseq() != "2 CANCEL" || cancel.header.Get("To") != m.header.Get("To") {
		t.Errorf("CANCEL %v", cancel.header)
	}
	c.reply(cancel, "200 OK")
	c.reply(m, "487 Request Terminated")
	c.request("ACK")
	var refused *srs.RequestError
	if err := take(t, "result", done); !errors.As(err, &refused) || refused.Status != 487 {
		t.Errorf("result %v", err)
	}
	c.bye()
}

func TestByeDuringReoffer(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	c := r.dial("tcp").caller()
	c.open(multipartType, both("sendonly", "sendonly"))
	done := r.reoffer(t.Context(), c, siprec.Inactive, siprec.Inactive)
	m := c.request("INVITE")
	c.bye()
	take(t, "End", rec.ends)
	if err := take(t, "result", done); !errors.Is(err, srs.ErrNoDialog) {
		t.Errorf("result %v", err)
	}
	c.accept(m, "inactive", "inactive") // its 200 is acknowledged all the same
	if err := r.server.Reoffer(t.Context(), c.dialog(), offering(siprec.Inactive)); !errors.Is(err, srs.ErrNoDialog) {
		t.Errorf("result %v", err)
	}
}

func TestReofferNotAllowed(t *testing.T) {
	r := start(t, newFake(t), only(srs.Source{NoReinvite: true}))
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly", "sendonly"))
	if err := r.server.Reoffer(t.Context(), c.dialog(), offering(siprec.Inactive, siprec.Inactive)); !errors.Is(err, srs.ErrNotAllowed) {
		t.Errorf("result %v", err)
	}
	c.bye()
}

// TestBadAnswers: a 200 that does not answer is acknowledged and reported; its metadata count.
func TestBadAnswers(t *testing.T) {
	for name, x := range map[string][2]string{
		"nothing":        {"", ""},
		"other m-lines":  {"application/sdp", offer("sendonly")},
		"no description": {"application/sdp", "m=\r\n"},
		"metadata":       {metadataType, metadata("alice")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := newFake(t)
			r := start(t, rec)
			c := r.dial("udp").caller()
			c.open(multipartType, both("sendonly", "sendonly"))
			done := r.reoffer(t.Context(), c, siprec.Inactive, siprec.Inactive)
			c.replyWith(c.request("INVITE"), "200 OK", x[0], x[1])
			c.request("ACK")
			if err := take(t, "result", done); err == nil {
				t.Error("no error")
			}
			if name == "metadata" {
				if u := take(t, "Update", rec.updates); u.Metadata == nil || u.Offer != nil || u.Answered {
					t.Errorf("update %+v", u)
				}
			}
			c.bye()
			if len(rec.updates) != 0 {
				t.Errorf("%d more updates", len(rec.updates))
			}
		})
	}
}

// TestCloseDuringReoffer: an INVITE of ours that nobody answers does not hold Close up.
func TestCloseDuringReoffer(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly", "sendonly"))
	done := r.reoffer(t.Context(), c, siprec.Inactive, siprec.Inactive)
	c.request("INVITE")
	closed := make(chan error, 1)
	go func() { closed <- r.server.Close() }()
	c.reply(c.request("BYE"), "200 OK")
	if err := take(t, "result", done); err == nil {
		t.Error("no error")
	}
	if err := take(t, "end of Close", closed); err != nil {
		t.Error(err)
	}
}

// TestPanicOverAnAnswer: a Recorder that panics over what the client answered hurts nobody, and the session goes on.
func TestPanicOverAnAnswer(t *testing.T) {
	rec := newFake(t)
	rec.update = func(_ context.Context, _ siprec.DialogID, c siprec.Change) (siprec.Answer, error) {
		if c.Answered {
			panic("over an answer")
		}
		return answerTo(c.Offer, netip.Addr{}), nil
	}
	r := start(t, rec)
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly", "sendonly"))
	done := r.reoffer(t.Context(), c, siprec.Inactive, siprec.Inactive)
	c.accept(c.request("INVITE"), "inactive", "inactive")
	if err := take(t, "result", done); err == nil {
		t.Error("no error")
	}
	c.expect(c.ask("INVITE", "application/sdp", offer("sendonly", "sendonly")), 200)
	c.ack("", "")
	c.bye()
}

// TestReofferWithKeys: our key goes with each offer of ours, and the client's answer has its own.
func TestReofferWithKeys(t *testing.T) {
	const theirs, newer = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz", "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"
	secure := func(key string) string {
		return strings.ReplaceAll(offer("sendonly"), "RTP/AVP", "RTP/SAVP") + "a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:" + key + "\r\n"
	}
	ours := siprec.CryptoKey{Secret: siprec.NewSecret([]byte(strings.Repeat("k", 30)))}
	rec := newFake(t)
	rec.begin = func(_ context.Context, in siprec.Invitation) (siprec.Answer, error) {
		a := answerTo(in.Offer, in.Local)
		a.Media[0].Crypto = &siprec.Crypto{Tag: 3, Suite: in.Offer.Media[0].Crypto[0].Suite, Keys: []siprec.CryptoKey{ours}}
		return a, nil
	}
	r := start(t, rec)
	c := r.dial("udp").caller()
	first := c.open("application/sdp", secure(theirs))
	suite := take(t, "Begin", rec.begins).Offer.Media[0].Crypto[0].Suite
	for i, key := range []string{theirs, newer, newer} {
		a := offering(siprec.RecvOnly)
		a.Media[0].Crypto = &siprec.Crypto{Tag: 3, Suite: suite, Keys: []siprec.CryptoKey{ours}}
		done := make(chan error, 1)
		go func() { done <- r.server.Reoffer(t.Context(), c.dialog(), a) }()
		m := c.request("INVITE")
		for line := range strings.Lines(first.body) {
			if strings.HasPrefix(line, "a=crypto:") && !strings.Contains(m.body, line) {
				t.Errorf("offer %d %q has no %q", i, m.body, line)
			}
		}
		c.replyWith(m, "200 OK", "application/sdp", secure(key))
		if err := take(t, "result", done); err != nil {
			t.Fatal(err)
		}
		u := take(t, "Update", rec.updates)
		if want, err := siprec.ParseOffer([]byte(secure(key))); err != nil || !u.Offer.Media[0].Crypto[0].SameKeys(want.Media[0].Crypto[0]) {
			t.Errorf("update %d has another key than the client's (%v)", i, err)
		}
	}
	a := offering(siprec.RecvOnly)
	a.Media[0].Crypto = &siprec.Crypto{Tag: 3, Suite: suite, Keys: []siprec.CryptoKey{ours}}
	done := make(chan error, 1)
	go func() { done <- r.server.Reoffer(t.Context(), c.dialog(), a) }()
	c.accept(c.request("INVITE"), "sendonly")
	if err := take(t, "result", done); err == nil || len(rec.updates) != 0 {
		t.Errorf("an answer in clear was taken: %v", err)
	}
	// Without its key our side does not even offer.
	if err := r.server.Reoffer(t.Context(), c.dialog(), offering(siprec.RecvOnly)); err == nil {
		t.Error("keys were left out of our offer")
	}
	c.bye()
}
