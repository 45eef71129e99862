package srs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/greffier/greffier/siprec"
)

// TestMetadataInACK takes metadata that come with an ACK, after the first INVITE and after others.
func TestMetadataInACK(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := start(t, rec)
		c := r.dial(network).caller()
		c.toTag = c.expect(c.ask("INVITE", "application/sdp", offer("sendonly")), 200).toTag()
		c.ack(metadataType, metadata("alice"))
		if u := take(t, "Update", rec.updates); u.Offer != nil || len(u.Metadata.Participants) != 1 {
			t.Errorf("update %+v", u)
		}
		c.expect(c.ask("INVITE", "application/sdp", offer("inactive")), 200)
		if u := take(t, "Update", rec.updates); u.Offer == nil || u.Metadata != nil {
			t.Errorf("update %+v", u)
		}
		c.ack(multipartType, both("sendonly")) // the description says nothing here
		if u := take(t, "Update", rec.updates); u.Offer != nil || len(u.Metadata.Participants) != 2 {
			t.Errorf("update %+v", u)
		}
		// With our description in the 200, the ACK has both.
		c.expect(c.ask("INVITE", metadataType, metadata("alice")), 200)
		take(t, "Update", rec.updates)
		c.ack(multipartType, both("sendonly"))
		if u := take(t, "Update", rec.updates); !u.Answered || u.Offer == nil || u.Metadata == nil {
			t.Errorf("update %+v", u)
		}
		c.bye()
	})
}

// TestRecordingIndications: a=record and a=recordpref are for the parties of a call, not for who records it (RFC 7866 section 7).
func TestRecordingIndications(t *testing.T) {
	r := start(t, newFake(t))
	c := r.dial("udp").caller()
	aware := strings.Replace(offer("sendonly"), "a=label", "a=record:on\r\na=recordpref:off\r\na=label", 1)
	for _, body := range []string{aware, strings.Replace(aware, "t=0 0\r\n", "t=0 0\r\na=record:paused\r\na=recordpref:nopreference\r\n", 1)} {
		ok := c.expect(c.ask("INVITE", "application/sdp", body, "Supported: record-aware"), 200)
		if c.toTag == "" {
			c.toTag = ok.toTag()
		}
		c.ack("", "")
		if strings.Contains(ok.body, "record") || !strings.Contains(ok.body, "a=recvonly") || strings.Contains(ok.header.Get("Supported"), "record-aware") {
			t.Errorf("answer %v %q", ok.header, ok.body)
		}
	}
	c.bye()
}

// TestUnclosedMultipart: a client that forgets the last delimiter is understood.
func TestUnclosedMultipart(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	c := r.dial("udp").caller()
	c.open(multipartType, strings.TrimSuffix(both("sendonly"), "--foobar--\r\n"))
	if in := take(t, "Begin", rec.begins); len(in.Offer.Media) != 1 || in.Metadata == nil || len(in.Metadata.Participants) != 2 {
		t.Errorf("invitation %+v", in)
	}
	c.bye()
}

// TestReliableProvisionals: we send no provisional answer that 100rel speaks of, so that requiring it asks for nothing.
func TestReliableProvisionals(t *testing.T) {
	r := start(t, newFake(t))
	c := r.dial("udp").caller()
	ok := c.open(multipartType, both("sendonly"), "Require: siprec, 100rel", "Supported: 100rel", "Max-Forwards: 0")
	if strings.Contains(ok.header.Get("Supported"), "100rel") || ok.header.Get("Require") != "" || ok.header.Get("Rseq") != "" {
		t.Errorf("answer %v", ok.header)
	}
	c.expect(c.ask("PRACK", "", "", "RAck: 1 1 INVITE"), 481)
	c.expect(c.ask("OPTIONS", "", "", "Max-Forwards: 0"), 200) // only proxies count hops (RFC 3261 section 16.3)
	c.bye()
}

// TestVia: an answer goes back to where the request came from, and says so (RFC 3261 section 18.2.1, RFC 3581 section 4).
func TestVia(t *testing.T) {
	r := start(t, newFake(t))
	c := r.dial("udp").caller()
	c.send(c.compose("OPTIONS", "", "", "Via: SIP/2.0/UDP src.example.com:5999;branch=z9hG4bK-nat;rport"))
	ok := c.until("200", func(m message) bool { return m.status() == 200 })
	_, port := hostPort("udp://" + c.conn.LocalAddr().String())
	for _, want := range []string{"SIP/2.0/UDP src.example.com:5999", "branch=z9hG4bK-nat", "received=127.0.0.1", "rport=" + port} {
		if !strings.Contains(ok.header.Get("Via"), want) {
			t.Errorf("Via %q has no %q", ok.header.Get("Via"), want)
		}
	}
}

// TestWhoSaysSRC notes in the log whether a client says what it is; none is refused that does not.
func TestWhoSaysSRC(t *testing.T) {
	r := start(t, newFake(t))
	c := r.dial("udp").caller()
	want := []string{}
	for contact, says := range map[string]bool{
		"<sip:src@%s>;+sip.src": true, "<sip:src@%s;+sip.src>": true, "<sip:src@%s>": false,
	} {
		c = c.caller()
		c.open(multipartType, both("sendonly"), "Contact: "+fmt.Sprintf(contact, c.conn.LocalAddr()), "Require: siprec")
		c.bye()
		want = append(want, fmt.Sprint(says))
	}
	var got []string
	for _, e := range r.logs.FilterMessage("recording session opened").All() {
		got = append(got, fmt.Sprint(e.ContextMap()["sip_src"]))
		if e.ContextMap()["requires_siprec"] != true {
			t.Errorf("log %v", e.ContextMap())
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("logged %v, want %v", got, want)
	}
}

// TestTwoSessionsForOneCall: two clients, or one twice, may record the same call (RFC 7866 section 9.2); neither session touches the
// other.
func TestTwoSessionsForOneCall(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	a, b := r.dial("udp").caller(), r.dial("tcp").caller()
	for _, c := range []*caller{a, b} {
		c.open(multipartType, both("sendonly", "sendonly"))
		if in := take(t, "Begin", rec.begins); in.Dialog != c.dialog() || in.Metadata.Sessions[0].ID != "c2Vzc2lvbg==" {
			t.Errorf("invitation %+v", in)
		}
	}
	done := r.reoffer(t.Context(), a, siprec.Inactive, siprec.Inactive)
	m := a.request("INVITE")
	// The other one is not in the way of it.
	b.expect(b.ask("INVITE", multipartType, both("sendonly", "inactive")), 200)
	b.ack("", "")
	a.accept(m, "inactive", "inactive")
	if err := take(t, "result", done); err != nil {
		t.Error(err)
	}
	a.bye()
	if e := take(t, "End", rec.ends); e.id != a.dialog() {
		t.Errorf("ended %+v", e)
	}
	b.expect(b.ask("UPDATE", metadataType, metadata("alice")), 200)
	b.bye()
	if e := take(t, "End", rec.ends); e.id != b.dialog() {
		t.Errorf("ended %+v", e)
	}
}
