package srs_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

// invited opens a session without an offer, and gives ours.
func (c *caller) invited(contentType, body string) message {
	c.t.Helper()
	ok := c.expect(c.ask("INVITE", contentType, body), 200)
	c.toTag = ok.toTag()
	return ok
}

// TestOfferlessInvite: our 200 offers a stream for each label of the metadata, and the ACK answers it.
func TestOfferlessInvite(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := start(t, rec)
		c := r.dial(network).caller()
		ok := c.invited(metadataType, metadata("alice", "bob", "carol"))
		in := take(t, "Begin", rec.begins)
		var labels []siprec.Label
		for _, m := range in.Offer.Media {
			labels = append(labels, m.Label)
			if m.Addr.IsValid() || m.RTCP.IsValid() {
				t.Errorf("an address was made up: %+v", m)
			}
		}
		if diff := cmp.Diff([]siprec.Label{"1", "2", "3"}, labels); diff != "" || len(in.Metadata.Participants) != 3 {
			t.Error(diff)
		}
		if n := strings.Count(ok.body, "a=recvonly"); n != 3 || strings.Contains(ok.body, "send") {
			t.Errorf("offer %q", ok.body)
		}
		for _, want := range []string{
			"m=audio 40002 RTP/AVP 0 8 9 96 97 98 101\r\n", "a=rtpmap:96 opus/48000/2\r\n", "a=rtpmap:97 L16/16000\r\n",
			"a=rtpmap:101 telephone-event/8000\r\n", "a=label:2\r\n",
		} {
			if !strings.Contains(ok.body, want) {
				t.Errorf("offer %q has no %q", ok.body, want)
			}
		}
		c.ack("application/sdp", offer("sendonly", "sendonly", "inactive"))
		u := take(t, "Update", rec.updates)
		if !u.Answered || len(u.Offer.Media) != 3 || u.Offer.Media[0].Port != 50000 || u.Offer.Media[2].Direction != siprec.Inactive {
			t.Errorf("update %+v", u.Offer)
		}
		again := c.expect(c.ask("INVITE", "application/sdp", offer("sendonly", "sendonly", "inactive")), 200)
		c.ack("", "")
		if s, v := version(t, again.body); v == "1" || !strings.Contains(ok.body, s) {
			t.Errorf("version %s after %q", v, ok.body)
		}
		c.bye()
	})
}

// TestOfferlessWithoutLabels: there is a stream for each party, and no label is made up.
func TestOfferlessWithoutLabels(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	for _, body := range []string{"", strings.Replace(metadata("a"), "<label>1</label>", "<label>1&#13;&#10;a=sendrecv</label>", 1)} {
		c := r.dial("udp").caller()
		kind := ""
		if body != "" {
			kind = metadataType
		}
		ok := c.invited(kind, body)
		if strings.Count(ok.body, "m=audio") != 2 || strings.Contains(ok.body, "label") || strings.Contains(ok.body, "sendrecv") {
			t.Errorf("offer %q", ok.body)
		}
		c.ack("application/sdp", offer("sendonly", "sendonly"))
		u := take(t, "Update", rec.updates)
		if !u.Answered || u.Offer.Media[0].Label != "" {
			t.Errorf("update %+v", u.Offer)
		}
		c.bye()
	}
}

// TestOfferlessNotRecorded: what the Recorder does not want is offered inactive.
func TestOfferlessNotRecorded(t *testing.T) {
	rec := newFake(t)
	rec.begin = func(_ context.Context, in siprec.Invitation) (siprec.Answer, error) {
		a := answerTo(in.Offer, in.Local)
		for i := range a.Media {
			a.Media[i].Direction, a.Media[i].Port = siprec.Inactive, 9
		}
		return a, nil
	}
	r := start(t, rec)
	c := r.dial("udp").caller()
	if ok := c.invited("", ""); strings.Count(ok.body, "a=inactive") != 2 {
		t.Errorf("offer %q", ok.body)
	}
	c.ack("application/sdp", offer("inactive", "inactive"))
	take(t, "Update", rec.updates)
	c.bye()
}

// TestOfferlessUnanswered: a session without a description cannot be.
func TestOfferlessUnanswered(t *testing.T) {
	for name, x := range map[string][2]string{
		"no answer":     {"", ""},
		"other m-lines": {"application/sdp", offer("sendonly")},
		"unreadable":    {"application/sdp", "m=\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := newFake(t)
			r := start(t, rec)
			c := r.dial("udp").caller()
			c.invited("", "")
			c.ack(x[0], x[1])
			c.reply(c.request("BYE"), "200 OK")
			if e := take(t, "End", rec.ends); e.cause != siprec.EndFailed {
				t.Errorf("ended %+v", e)
			}
		})
	}
	t.Run("no ACK", func(t *testing.T) {
		t.Parallel()
		rec := newFake(t)
		r := startShort(t, rec, 5*time.Millisecond)
		c := r.dial("udp").caller()
		c.invited("", "")
		c.expect(c.ask("INFO", "", ""), 200)
		c.reply(c.request("BYE"), "200 OK")
		if e := take(t, "End", rec.ends); e.cause != siprec.EndLost {
			t.Errorf("ended %+v", e)
		}
	})
}
