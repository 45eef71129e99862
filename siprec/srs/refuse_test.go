package srs_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// TestRefusedInvites sends INVITEs that must be refused without the Recorder hearing of them.
func TestRefusedInvites(t *testing.T) {
	body := both("sendonly")
	for name, x := range map[string]struct {
		contentType, body string
		extra             []string
		status            int
		header, value     string
	}{
		"required extension":     {multipartType, body, []string{"Require: siprec, 100rel, record-aware, foo"}, 420, "Unsupported", "record-aware, foo"},
		"no From tag":            {multipartType, body, []string{"From: <sip:a@b>"}, 400, "", ""},
		"From that is none":      {multipartType, body, []string{"From: <<<;tag=1"}, 400, "", ""},
		"two Call-IDs":           {multipartType, body, []string{"i: another"}, 400, "", ""},
		"CSeq of another":        {multipartType, body, []string{"CSeq: 1 UPDATE"}, 400, "", ""},
		"no Contact":             {multipartType, body, []string{"Contact:"}, 400, "", ""},
		"Contact that is none":   {multipartType, body, []string{"Contact: <>"}, 400, "", ""},
		"any Contact":            {multipartType, body, []string{"Contact: *"}, 400, "", ""},
		"two Contacts":           {multipartType, body, []string{"m: <sip:b@c>"}, 400, "", ""},
		"Max-Forwards too high":  {multipartType, body, []string{"Max-Forwards: 300"}, 400, "", ""},
		"Max-Forwards no number": {multipartType, body, []string{"Max-Forwards: many"}, 400, "", ""},
		"Call-ID too long":       {multipartType, body, []string{"Call-ID: " + strings.Repeat("x", 600)}, 400, "", ""},
		"encoded body":           {multipartType, body, []string{"Content-Encoding: gzip"}, 415, "Accept-Encoding", "identity"},
		"body of another kind":   {"text/plain", "hello", nil, 415, "Accept", "application/sdp, application/rs-metadata, application/rs-metadata+xml, multipart/mixed"},
		"broken multipart":       {"multipart/mixed", "hello", nil, 400, "", ""},
		"broken description":     {"application/sdp", "m=\r\n", nil, 400, "", ""},
		"no media":               {"application/sdp", "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n", nil, 488, "", ""},
		"unknown dialog":         {multipartType, body, []string{"To: <sip:a@b>;tag=gone"}, 481, "", ""},
		"short session":          {multipartType, body, []string{"Supported: timer", "Session-Expires: 30"}, 422, "Min-Se", "90"},
		"Session-Expires":        {multipartType, body, []string{"x: soon"}, 400, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, network string) {
				rec := newFake(t)
				rec.begin = func(context.Context, siprec.Invitation) (siprec.Answer, error) {
					t.Error("Begin was called")
					return siprec.Answer{}, errors.New("no")
				}
				r := start(t, rec)
				c := r.dial(network).caller()
				c.seq = 1
				c.send(c.compose("INVITE", x.contentType, x.body, x.extra...))
				got := c.until("final answer", func(m message) bool { return m.status() >= 200 })
				if got.status() != x.status {
					t.Fatalf("answered with %q, want %d", got.start, x.status)
				}
				if x.header != "" && x.value != "" && got.header.Get(x.header) != x.value {
					t.Errorf("%s is %q", x.header, got.header.Get(x.header))
				}
				if !strings.HasPrefix(got.header.Get("Warning"), `399 greffier "`) {
					t.Errorf("Warning %q", got.header.Get("Warning"))
				}
				if ref := r.refusal(x.status); ref.SRC != "loopback" || ref.Method != "INVITE" || ref.Reason == "" || ref.Count != 1 {
					t.Errorf("report %+v", ref)
				}
				if n := r.logs.FilterMessage("sip request refused").Len(); n != 1 {
					t.Errorf("%d log lines", n)
				}
				c.expect(c.ask("OPTIONS", "", "", "To: <sip:x@y>"), 200)
			})
		})
	}
}

func TestRecordersRefusals(t *testing.T) {
	for kind, status := range map[siprec.RefusalKind]int{
		siprec.Malformed: 400, siprec.UnknownSource: 403, siprec.Unsupported: 420, siprec.NoMedia: 488,
		siprec.Unavailable: 503, siprec.Internal: 500,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			rec := newFake(t)
			rec.begin = func(context.Context, siprec.Invitation) (siprec.Answer, error) {
				return siprec.Answer{}, fmt.Errorf("wrapped: %w", &siprec.Refusal{
					Kind: kind, Reason: "say \"why\"\r\nInjected: yes", RetryAfter: 1500 * time.Millisecond, Err: errors.New("secret"),
				})
			}
			r := start(t, rec)
			c := r.dial("udp").caller()
			got := c.expect(c.ask("INVITE", multipartType, both("sendonly")), status)
			c.ack("", "")
			if got.header.Get("Injected") != "" || strings.Contains(fmt.Sprint(got.header), "secret") {
				t.Errorf("answer %v", got.header)
			}
			if w := got.header.Get("Warning"); w != `399 greffier "say \"why\"  Injected: yes"` {
				t.Errorf("Warning %q", w)
			}
			if ra := got.header.Get("Retry-After"); ra != "2" {
				t.Errorf("Retry-After %q", ra)
			}
			if ref := r.refusal(status); ref.Kind != kind || ref.CallID != c.callID {
				t.Errorf("report %+v", ref)
			}
		})
	}
	t.Run("another error", func(t *testing.T) {
		rec := newFake(t)
		rec.begin = func(context.Context, siprec.Invitation) (siprec.Answer, error) {
			return siprec.Answer{}, errors.New("secret")
		}
		r := start(t, rec)
		c := r.dial("udp").caller()
		got := c.expect(c.ask("INVITE", multipartType, both("sendonly")), 500)
		if strings.Contains(fmt.Sprint(got.header), "secret") {
			t.Errorf("answer %v", got.header)
		}
		r.refusal(500)
	})
}

func TestPanicsAreContained(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		var broken atomic.Bool
		broken.Store(true)
		rec.begin = func(_ context.Context, in siprec.Invitation) (siprec.Answer, error) {
			if broken.Load() {
				panic("Begin is broken")
			}
			return answerTo(in.Offer, in.Local), nil
		}
		rec.update = func(_ context.Context, _ siprec.DialogID, c siprec.Change) (siprec.Answer, error) {
			if broken.Load() {
				panic("Update is broken")
			}
			return answerTo(c.Offer, netip.Addr{}), nil
		}
		rec.onEnd = func(siprec.DialogID) { panic("End is broken") }
		r := start(t, rec)
		p := r.dial(network)
		c := p.caller()
		c.expect(c.ask("INVITE", multipartType, both("sendonly")), 500)
		c.ack("", "")
		r.refusal(500)

		broken.Store(false)
		c = p.caller()
		c.open(multipartType, both("sendonly"))
		broken.Store(true)
		c.expect(c.ask("INVITE", multipartType, both("inactive")), 500)
		c.ack("", "")
		r.refusal(500)
		c.expect(c.ask("UPDATE", metadataType, metadata("alice")), 500)
		r.refusal(500)
		broken.Store(false)
		c.expect(c.ask("INVITE", multipartType, both("inactive")), 200)
		c.ack("", "")
		broken.Store(true)
		c.expect(c.ask("BYE", metadataType, metadata("alice")), 500) // the session ends all the same
		if e := take(t, "End", rec.ends); e.cause != siprec.EndBye {
			t.Errorf("ended %+v", e)
		}
		c.expect(c.ask("BYE", "", ""), 481)
		if n := r.logs.FilterMessage("panic while handling a request").Len(); n != 4 {
			t.Errorf("%d panics logged", n)
		}
	})
}

func TestAnswerThatDoesNotFit(t *testing.T) {
	rec := newFake(t)
	rec.begin = func(_ context.Context, in siprec.Invitation) (siprec.Answer, error) {
		a := answerTo(in.Offer, in.Local)
		a.Media = a.Media[:1]
		return a, nil
	}
	r := start(t, rec)
	c := r.dial("udp").caller()
	c.expect(c.ask("INVITE", multipartType, both("sendonly", "sendonly")), 500)
	if e := take(t, "End", rec.ends); e.cause != siprec.EndFailed {
		t.Errorf("ended %+v", e)
	}
}

func TestOtherMethods(t *testing.T) {
	r := start(t, newFake(t))
	p := r.dial("udp")
	for _, method := range []string{"MESSAGE", "REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER", "FOO"} {
		c := p.caller()
		got := c.expect(c.ask(method, "", ""), 405)
		if got.header.Get("Allow") != "INVITE, ACK, CANCEL, BYE, UPDATE, INFO, OPTIONS" {
			t.Errorf("%s: Allow %q", method, got.header.Get("Allow"))
		}
		r.refusal(405)
	}
	for _, method := range []string{"BYE", "UPDATE", "INFO", "PRACK"} {
		c := p.caller()
		c.toTag = "gone"
		c.expect(c.ask(method, "", ""), 481)
		r.refusal(481)
	}
}

func TestWrongTags(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly"))
	tag := c.toTag
	c.toTag = tag + "x"
	for _, method := range []string{"BYE", "INFO", "UPDATE", "OPTIONS"} {
		c.expect(c.ask(method, "", ""), 481)
	}
	c.expect(c.ask("INVITE", "application/sdp", offer("inactive")), 481)
	c.ack("", "")
	c.toTag, c.tag = tag, "another"
	c.expect(c.ask("BYE", "", ""), 481)
	if len(rec.updates) != 0 || len(rec.ends) != 0 {
		t.Error("the session was touched")
	}
}

func TestStranger(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		r := start(t, newFake(t), func(c *srs.Config) {
			c.Sources = []srs.Source{{Name: "sbc", Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}
		})
		c := dial(t, r.listener(network), "127.0.0.2").caller()
		c.seq = 1
		invite := c.compose("INVITE", multipartType, both("sendonly"))
		if network == "tcp" {
			c.send("\r\n\r\n") // a keep-alive
		}
		c.send(invite)
		c.expect("1 INVITE", 403)
		ref := r.refusal(403)
		if ref.SRC != "" || ref.Kind != siprec.UnknownSource || ref.CallID != c.callID || ref.Source.Addr().String() != "127.0.0.2" {
			t.Errorf("report %+v", ref)
		}
		if network == "tcp" {
			if _, err := c.conn.Read(make([]byte, 1)); err == nil {
				t.Error("the connection is still open")
			}
			return
		}
		// A flood is not answered one by one, and is reported as a number.
		c.send("junk")
		for range 200 {
			c.send(invite)
		}
		friend := r.dial(network).caller()
		friend.expect(friend.ask("OPTIONS", "", "", "To: <sip:x@y>"), 200)
		r.server.Sweep()
		total := 0
		for total < 200 {
			total += r.refusal(403).Count
		}
	})
}

func TestTooManyDialogs(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec, func(c *srs.Config) { c.MaxDialogs = 1 })
	p := r.dial("tcp")
	first, second := p.caller(), p.caller()
	first.open(multipartType, both("sendonly"))
	if got := second.expect(second.ask("INVITE", multipartType, both("sendonly")), 503); got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	first.bye()
	take(t, "End", rec.ends)
	second.open(multipartType, both("sendonly"))
	second.bye()
}

func TestNotReady(t *testing.T) {
	rec := newFake(t)
	var ready atomic.Bool
	r := start(t, rec, func(c *srs.Config) {
		c.Ready = func() error {
			if ready.Load() {
				return nil
			}
			return &siprec.Refusal{Kind: siprec.Unavailable, Reason: "the disk is full", RetryAfter: time.Minute}
		}
	})
	c := r.dial("udp").caller()
	for _, method := range []string{"OPTIONS", "INVITE"} {
		if got := c.expect(c.ask(method, "", ""), 503); got.header.Get("Retry-After") != "60" && method == "OPTIONS" {
			t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
		}
		r.refusal(503)
	}
	ready.Store(true)
	got := c.expect(c.ask("OPTIONS", "", "", "To: <sip:x@y>"), 200)
	for _, name := range []string{"Allow", "Accept", "Supported"} {
		if got.header.Get(name) == "" {
			t.Errorf("no %s", name)
		}
	}
}

func TestRequiredMetadata(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec, func(c *srs.Config) {
		c.Sources = []srs.Source{{Name: "sbc", Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RequireMetadata: true}}
	})
	c := r.dial("udp").caller()
	c.expect(c.ask("INVITE", "application/sdp", offer("sendonly")), 400)
	r.refusal(400)
	c.open(multipartType, both("sendonly"))
	c.bye()
}

func TestBodyTooLarge(t *testing.T) {
	r := start(t, newFake(t))
	c := r.dial("tcp").caller()
	c.expect(c.ask("INVITE", "application/sdp", strings.Repeat("x", 300<<10)), 413)
	r.refusal(413)
}

// TestNothingPrivateIsLogged looks for names, numbers and bodies in the log.
func TestNothingPrivateIsLogged(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	c := r.dial("tcp").caller()
	c.open(multipartType, both("sendonly"), `From: "Alice Liddell" <sip:+33612345678@example.com>;tag=`+c.tag)
	c.expect(c.ask("INVITE", "application/sdp", "v=0 Alice Liddell", `From: "Alice Liddell" <sip:+33612345678@example.com>;tag=`+c.tag), 488)
	c.ack("", "")
	c.send("+33612345678 Alice Liddell is not SIP\r\n\r\n")
	for {
		if _, ok := c.read(patience); !ok {
			break // the connection is closed
		}
	}
	for _, e := range r.logs.All() {
		line := fmt.Sprint(e.Message, e.ContextMap())
		for _, secret := range []string{"Liddell", "33612345678", "alice"} {
			if strings.Contains(line, secret) {
				t.Errorf("log line %q", line)
			}
		}
	}
}
