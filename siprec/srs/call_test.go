package srs_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// TestCall makes one call and looks at everything that both sides see.
func TestCall(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := start(t, rec, func(c *srs.Config) {
			c.Sources = []srs.Source{{
				Name: "sbc", Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
				AnySource: true, Headers: []string{"x-call-direction", "Session-ID", "X-Missing"},
			}}
		})
		c := r.dial(network).caller()
		ok := c.open(multipartType, both("sendonly", "inactive"),
			"Require: siprec", "X-Call-Direction: in", "Session-ID: a", "Session-ID2: b",
			"Record-Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>")

		in := take(t, "Begin", rec.begins)
		want := siprec.DialogID{CallID: c.callID, LocalTag: c.toTag, RemoteTag: c.tag}
		if in.Dialog != want || in.SRC != "sbc" || !in.AnySource || in.At.IsZero() {
			t.Errorf("invitation %+v", in)
		}
		if in.Source.String() != c.conn.LocalAddr().String() || in.Local.String() != "127.0.0.1" {
			t.Errorf("source %s, local %s", in.Source, in.Local)
		}
		if diff := cmp.Diff(map[string]string{"X-Call-Direction": "in", "Session-Id": "a"}, in.Headers); diff != "" {
			t.Error(diff)
		}
		if len(in.Offer.Media) != 2 || len(in.Metadata.Participants) != 2 {
			t.Errorf("offer %+v, metadata %+v", in.Offer, in.Metadata)
		}

		_, port := hostPort(r.listener(network))
		contact := fmt.Sprintf("<sip:greffier@127.0.0.1:%s;transport=%s>;+sip.srs", port, network)
		for name, value := range map[string]string{
			"Contact": contact, "Content-Type": "application/sdp", "Supported": "siprec, timer",
			"Allow":   "INVITE, ACK, CANCEL, BYE, UPDATE, INFO, OPTIONS",
			"Accept":  "application/sdp, application/rs-metadata, application/rs-metadata+xml, multipart/mixed",
			"Call-Id": c.callID, "Session-Expires": "", "Require": "",
		} {
			if got := ok.header.Get(name); got != value {
				t.Errorf("%s is %q, want %q", name, got, value)
			}
		}
		if got := strings.Join(ok.header["Record-Route"], ", "); got != "<sip:p1.example.com;lr>, <sip:p2.example.com;lr>" {
			t.Errorf("Record-Route %q", got)
		}
		answer, err := siprec.ParseOffer([]byte(ok.body))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, m := range answer.Media {
			lines = append(lines, fmt.Sprint(m.Label, " ", m.Direction, " ", m.Port))
		}
		if diff := cmp.Diff([]string{"1 recvonly 40000", "2 inactive 40002"}, lines); diff != "" {
			t.Error(diff)
		}

		c.bye()
		if e := take(t, "End", rec.ends); e.id != want || e.cause != siprec.EndBye {
			t.Errorf("ended %+v", e)
		}
		c.expect(c.ask("BYE", "", ""), 481)
	})
}

func TestTryingComesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		hold := make(chan struct{})
		rec.begin = func(_ context.Context, in siprec.Invitation) (siprec.Answer, error) {
			<-hold
			return answerTo(in.Offer, in.Local), nil
		}
		r := start(t, rec)
		c := r.dial(network).caller()
		cseq := c.ask("INVITE", multipartType, both("sendonly"))
		c.until("100", func(m message) bool { return m.status() == 100 })
		close(hold)
		c.toTag = c.expect(cseq, 200).toTag()
		c.ack("", "")
		c.bye()
	})
}

func TestPartOrdersAndBareDescription(t *testing.T) {
	sdp, xml := [2]string{"application/sdp", offer("sendonly")}, [2]string{metadataType, metadata("alice")}
	old := [2]string{"application/rs-metadata", metadata("alice")}
	for name, body := range map[string]struct {
		contentType, body string
		participants      int
	}{
		"description first":    {multipartType, multipart(sdp, xml), 1},
		"metadata first":       {multipartType, multipart(xml, sdp), 1},
		"unsuffixed type":      {multipartType, multipart(sdp, old), 1},
		"third part":           {multipartType, multipart([2]string{"application/gtd", "x"}, xml, sdp), 1},
		"description only":     {"application/sdp", offer("sendonly"), -1},
		"type with parameters": {"Application/SDP; charset=utf-8", offer("sendonly"), -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := newFake(t)
			r := start(t, rec)
			c := r.dial("udp").caller()
			c.open(body.contentType, body.body)
			in := take(t, "Begin", rec.begins)
			if in.Metadata == nil {
				if body.participants >= 0 {
					t.Error("no metadata")
				}
			} else if len(in.Metadata.Participants) != body.participants {
				t.Errorf("metadata %+v", in.Metadata)
			}
			c.bye()
		})
	}
}

func TestUnreadableMetadataAreRecorded(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	c := r.dial("udp").caller()
	junk := "this is no XML at all"
	c.open(multipartType, multipart([2]string{"application/sdp", offer("sendonly")}, [2]string{metadataType, junk}))
	in := take(t, "Begin", rec.begins)
	if in.Metadata == nil || len(in.Metadata.Warnings) == 0 || string(in.Metadata.Raw) != junk {
		t.Errorf("metadata %+v", in.Metadata)
	}
	c.expect(c.ask("UPDATE", metadataType, junk), 200)
	if u := take(t, "Update", rec.updates); u.Metadata == nil || len(u.Metadata.Warnings) == 0 || u.Metadata.DataMode != siprec.Partial {
		t.Errorf("update %+v", u.Metadata)
	}
	c.bye()
}

// TestRetransmittedInvite checks that copies of an INVITE begin one session and get one answer.
func TestRetransmittedInvite(t *testing.T) {
	rec := newFake(t)
	hold := make(chan struct{})
	rec.begin = func(_ context.Context, in siprec.Invitation) (siprec.Answer, error) {
		<-hold
		return answerTo(in.Offer, in.Local), nil
	}
	r := startShort(t, rec, 50*time.Millisecond)
	c := r.dial("udp").caller()
	c.seq = 1
	invite := c.compose("INVITE", multipartType, both("sendonly"))
	c.send(invite)
	c.until("100", func(m message) bool { return m.status() == 100 })
	c.send(invite)
	c.send(invite)
	close(hold)
	first := c.expect("1 INVITE", 200)
	c.send(invite)
	for range 3 { // repeated until the ACK
		if again := c.expect("1 INVITE", 200); again.body != first.body || again.toTag() != first.toTag() {
			t.Errorf("another answer: %v", again)
		}
	}
	c.toTag = first.toTag()
	c.ack("", "")
	take(t, "Begin", rec.begins)

	// The same INVITE by another way is not another session.
	c.toTag = ""
	c.send(c.compose("INVITE", multipartType, both("sendonly")))
	c.expect("1 INVITE", 482)
	if n := len(rec.begins); n != 0 {
		t.Errorf("%d more sessions were begun", n)
	}
	c.toTag = first.toTag()
	c.bye()
}

func TestAckOnTheInvitesBranch(t *testing.T) {
	rec := newFake(t)
	r := startShort(t, rec, 20*time.Millisecond)
	c := r.dial("udp").caller()
	c.seq = 1
	invite := c.compose("INVITE", multipartType, both("sendonly"))
	branch := c.branch
	c.send(invite)
	c.toTag = c.expect("1 INVITE", 200).toTag()
	c.send(strings.Replace(c.compose("ACK", "", ""), c.branch, branch, 1))
	quiet(t, c, "1 INVITE")
	c.bye()
}

// quiet checks that a 200 is not repeated any more, after what may have been on its way.
func quiet(t *testing.T, c *caller, cseq string) {
	t.Helper()
	for range 5 {
		m, ok := c.read(300 * time.Millisecond)
		if !ok {
			return
		}
		if m.cseq() != cseq {
			t.Fatalf("unexpected %q", m.start)
		}
	}
	t.Error("the 200 is still repeated after its ACK")
}

func TestByeBeforeAck(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := startShort(t, rec, 20*time.Millisecond)
		c := r.dial(network).caller()
		c.toTag = c.expect(c.ask("INVITE", multipartType, both("sendonly")), 200).toTag()
		c.bye()
		if e := take(t, "End", rec.ends); e.cause != siprec.EndBye {
			t.Errorf("ended %+v", e)
		}
		quiet(t, c, "1 INVITE")
	})
}

func TestNoAckAtAll(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := startShort(t, rec, 5*time.Millisecond)
		c := r.dial(network).caller()
		ok := c.expect(c.ask("INVITE", multipartType, both("sendonly")), 200)
		bye := c.request("BYE")
		c.reply(bye, "200 OK")
		if e := take(t, "End", rec.ends); e.cause != siprec.EndLost {
			t.Errorf("ended %+v", e)
		}
		if got := bye.header.Get("Reason"); !strings.HasPrefix(got, "SIP;cause=408;text=") {
			t.Errorf("Reason %q", got)
		}
		if !strings.Contains(bye.header.Get("From"), "tag="+ok.toTag()) || !strings.Contains(bye.header.Get("To"), "tag="+c.tag) {
			t.Errorf("BYE %v", bye.header)
		}
	})
}

// TestNoAckButAlive checks that a session whose INVITE is never acknowledged lives on when the client shows signs of life.
func TestNoAckButAlive(t *testing.T) {
	rec := newFake(t)
	r := startShort(t, rec, 5*time.Millisecond)
	c := r.dial("udp").caller()
	c.toTag = c.expect(c.ask("INVITE", multipartType, both("sendonly")), 200).toTag()
	c.expect(c.ask("INFO", "", ""), 200)
	deadline := time.Now().Add(600 * time.Millisecond) // 64*T1 is 320 ms
	for time.Now().Before(deadline) {
		if m, ok := c.read(time.Until(deadline)); ok && m.method() != "" {
			t.Fatalf("unexpected %q", m.start)
		}
	}
	c.bye()
}

func TestCancel(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		entered := make(chan struct{}, 10)
		rec.begin = func(ctx context.Context, in siprec.Invitation) (siprec.Answer, error) {
			entered <- struct{}{}
			<-ctx.Done() // the client's CANCEL
			return answerTo(in.Offer, in.Local), nil
		}
		r := start(t, rec)
		c := r.dial(network).caller()
		cseq := c.ask("INVITE", multipartType, both("sendonly"))
		branch := c.branch
		take(t, "call of Begin", entered)
		c.send(strings.Replace(c.compose("CANCEL", "", "", "Contact:"), c.branch, branch, 1))
		c.expect("1 CANCEL", 200)
		refused := c.expect(cseq, 487)
		c.toTag = refused.toTag()
		c.send(strings.Replace(c.compose("ACK", "", ""), c.branch, branch, 1))
		if e := take(t, "End", rec.ends); e.cause != siprec.EndCancel {
			t.Errorf("ended %+v", e)
		}
		c.expect(c.ask("BYE", "", ""), 481)
	})
}

func TestCancelWhenBeginFails(t *testing.T) {
	rec := newFake(t)
	entered := make(chan struct{}, 1)
	rec.begin = func(ctx context.Context, _ siprec.Invitation) (siprec.Answer, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return siprec.Answer{}, ctx.Err()
	}
	r := start(t, rec)
	c := r.dial("udp").caller()
	cseq := c.ask("INVITE", multipartType, both("sendonly"))
	branch := c.branch
	take(t, "call of Begin", entered)
	c.send(strings.Replace(c.compose("CANCEL", "", ""), c.branch, branch, 1))
	c.expect(cseq, 487)
	c.send(strings.Replace(c.compose("ACK", "", ""), c.branch, branch, 1))
}

func TestCancelTooLate(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	c := r.dial("udp").caller()
	cseq := c.ask("INVITE", multipartType, both("sendonly"))
	branch := c.branch
	c.toTag = c.expect(cseq, 200).toTag()
	tag := c.toTag
	c.toTag = ""
	c.send(strings.Replace(c.compose("CANCEL", "", ""), c.branch, branch, 1))
	c.expect("1 CANCEL", 200)
	c.toTag = tag
	c.ack("", "")
	c.expect(c.ask("OPTIONS", "", ""), 200)
	c.bye()
	if e := take(t, "End", rec.ends); e.cause != siprec.EndBye {
		t.Errorf("ended %+v", e)
	}
}

func TestCancelOfNothing(t *testing.T) {
	r := start(t, newFake(t))
	c := r.dial("udp").caller()
	c.expect(c.ask("CANCEL", "", ""), 481)
	r.refusal(481)
}

// TestCancelRace sends CANCEL so close to the answer that either may win; never both do.
func TestCancelRace(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := start(t, rec)
		p := r.dial(network)
		outcomes := map[int]int{}
		want, got := map[string]siprec.EndCause{}, map[string]siprec.EndCause{} // by Call-ID
		ended := func() string {
			e := take(t, "End", rec.ends)
			got[e.id.CallID] = e.cause
			return e.id.CallID
		}
		for range 150 {
			c := p.caller()
			c.seq = 1
			invite := c.compose("INVITE", multipartType, both("sendonly"))
			branch := c.branch
			cancel := strings.Replace(c.compose("CANCEL", "", ""), c.branch, branch, 1)
			c.send(invite)
			c.until("100", func(m message) bool { return m.status() == 100 })
			c.send(cancel)
			var invited, cancelled int
			for invited == 0 || cancelled == 0 {
				m := c.until("final answer", func(m message) bool { return m.status() >= 200 && m.header.Get("Call-Id") == c.callID })
				if m.cseq() == "1 CANCEL" {
					cancelled = m.status()
				} else {
					invited, c.toTag = m.status(), m.toTag()
				}
			}
			outcomes[invited]++
			if cancelled != 200 && network == "udp" {
				t.Errorf("CANCEL was answered with %d", cancelled)
			}
			ack := c.compose("ACK", "", "")
			if invited == 487 {
				ack = strings.Replace(ack, c.branch, branch, 1)
			}
			c.send(ack)
			want[c.callID] = siprec.EndCancel
			if invited == 200 {
				want[c.callID] = siprec.EndBye
				c.bye()
				for ended() != c.callID { // an earlier one that was cancelled may end now
				}
			}
		}
		for len(got) < len(rec.begins) { // a CANCEL that came before Begin was called needs no End
			ended()
		}
		for callID, cause := range got {
			if cause != want[callID] {
				t.Errorf("%s ended by %q, want %q", callID, cause, want[callID])
			}
		}
		if len(outcomes) > 2 || outcomes[200]+outcomes[487] != 150 {
			t.Errorf("outcomes %v", outcomes)
		}
	})
}
