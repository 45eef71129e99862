package siprectest_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// transports runs a test over each transport.
func transports(t *testing.T, f func(t *testing.T, u *uas)) {
	for _, tr := range []string{"udp", "tcp", "tls"} {
		t.Run(tr, func(t *testing.T) { f(t, newUAS(t, tr)) })
	}
}

// parts reads a multipart body with the standard library.
func parts(t *testing.T, contentType, body string) map[string]string {
	t.Helper()
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	r, all := multipart.NewReader(strings.NewReader(body), params["boundary"]), map[string]string{}
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		all[p.Header.Get("Content-Type")] = string(b)
	}
}

func TestCallFromInviteToBye(t *testing.T) {
	transports(t, func(t *testing.T, u *uas) {
		c, ctx := dial(t, u, siprectest.Config{}), limited(t)
		call, err := c.Invite(ctx, siprectest.TwoParty(siprectest.Silence(), siprectest.Silence()))
		if err != nil {
			t.Fatal(err)
		}
		invite, ack := u.wait("INVITE"), u.wait("ACK")
		p := parts(t, invite.h.Get("Content-Type"), invite.body)
		for _, want := range []string{"a=label:1\r\n", "a=label:2\r\n", "a=sendonly\r\n", "m=audio ", "a=rtpmap:101 telephone-event/8000\r\n"} {
			if !strings.Contains(p["application/sdp"], want) {
				t.Errorf("the offer lacks %q:\n%s", want, p["application/sdp"])
			}
		}
		var doc struct {
			Participants []struct {
				NameID struct {
					AOR string `xml:"aor,attr"`
				} `xml:"nameID"`
			} `xml:"participant"`
		}
		if err := xml.Unmarshal([]byte(p["application/rs-metadata+xml"]), &doc); err != nil || len(doc.Participants) != 2 {
			t.Errorf("metadata: %v, %d participants", err, len(doc.Participants))
		}
		if got := invite.h.Get("Require"); got != "siprec" {
			t.Errorf("Require: %q", got)
		}
		if got := invite.h.Get("Contact"); !strings.HasSuffix(got, ";+sip.src") {
			t.Errorf("Contact: %q", got)
		}
		if got := ack.h.Get("Cseq"); got != "1 ACK" || ack.uri != strings.Trim(strings.SplitN(u.contact, ">", 2)[0], "<") {
			t.Errorf("ACK %q to %q", got, ack.uri)
		}
		for _, l := range []siprec.Label{"1", "2"} {
			m, ok := call.Answer().Label(l)
			if !ok || m.Direction != siprec.RecvOnly || !m.Wants() {
				t.Errorf("answer for %q: %+v", l, m)
			}
		}
		if err := call.Bye(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if got := u.wait("BYE"); got.h.Get("Cseq") != "2 BYE" || !strings.Contains(got.h.Get("To"), "tag=srs-tag") {
			t.Errorf("BYE: %v", got.h)
		}
		<-call.Done()
		if by := call.End().By; by != siprectest.ByClient {
			t.Errorf("ended by %q", by)
		}
		if err := call.Options(ctx); !errors.Is(err, siprectest.ErrEnded) {
			t.Errorf("after BYE: %v", err)
		}
	})
}

func TestACKHasTheInvitesCSeqAfterOtherRequests(t *testing.T) {
	u := newUAS(t, "udp")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	call, err := c.Invite(ctx, siprectest.CallSpec{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call.Update(ctx, siprectest.Change{Metadata: siprectest.NewMetadata()}); err != nil {
		t.Fatal(err)
	}
	update := u.wait("UPDATE")
	if ct := update.h.Get("Content-Type"); ct != "application/rs-metadata+xml" {
		t.Errorf("UPDATE carries %q", ct)
	}
	if err := call.Info(ctx, "application/x-test", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if got := u.wait("INFO"); got.body != "hello" {
		t.Errorf("INFO carries %q", got.body)
	}
	if _, err := call.ReInvite(ctx, siprectest.Change{}); err != nil {
		t.Fatal(err)
	}
	if got := u.wait("ACK").h.Get("Cseq"); got != "4 ACK" {
		t.Errorf("ACK with CSeq %q", got)
	}
	// A 200 that comes again, however late, is acknowledged again with its own number.
	if err := call.Options(ctx); err != nil {
		t.Fatal(err)
	}
	re := u.lastInvite()
	re.back(u.response(re, 200, "OK", u.sdp(re.body)))
	if got := u.wait("ACK").h.Get("Cseq"); got != "4 ACK" {
		t.Errorf("ACK with CSeq %q after INVITE %q", got, re.h.Get("Cseq"))
	}
}

func TestHoldStopsOneStreamAndResumesIt(t *testing.T) {
	u := newUAS(t, "udp")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	spec := siprectest.TwoParty(siprectest.Silence(), siprectest.Silence())
	spec.Timeline = siprectest.Hold(200*time.Millisecond, 500*time.Millisecond, "2")
	call, err := c.Invite(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(ctx, 800*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	u.wait("INVITE")
	hold := u.wait("INVITE")
	if strings.Count(hold.body, "a=inactive") != 1 || !strings.HasPrefix(hold.body, "v=0\r\no=src ") || !strings.Contains(hold.body, " 2 IN IP4") {
		t.Errorf("hold offers:\n%s", hold.body)
	}
	resume := u.wait("INVITE")
	if strings.Contains(resume.body, "a=inactive") || !strings.Contains(resume.body, " 3 IN IP4") {
		t.Errorf("resume offers:\n%s", resume.body)
	}
	truth := call.Truth()
	if n := truth.Streams[0].Fates[siprectest.Sent]; n != 40 {
		t.Errorf("stream 1 sent %d of 40 frames", n)
	}
	held := truth.Streams[1].Fates[siprectest.Held]
	if held < 5 || held > 35 || held+truth.Streams[1].Fates[siprectest.Sent] != 40 {
		t.Errorf("stream 2: %v", truth.Streams[1].Fates)
	}
	if err := call.Bye(ctx, nil); err != nil {
		t.Fatal(err)
	}
}

func TestInactiveAnswerSendsNothing(t *testing.T) {
	u := newUAS(t, "udp")
	u.setDirection("inactive")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	call, err := c.Invite(ctx, siprectest.TwoParty(siprectest.Silence(), siprectest.Silence()))
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(ctx, 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, s := range call.Truth().Streams {
		if s.Fates[siprectest.Sent] != 0 || s.Fates[siprectest.Held] != 10 {
			t.Errorf("stream %q: %v", s.Label, s.Fates)
		}
	}
}

func TestStreamsComeAndGo(t *testing.T) {
	u := newUAS(t, "udp")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	call, err := c.Invite(ctx, siprectest.TwoParty(siprectest.Silence(), siprectest.Silence()))
	if err != nil {
		t.Fatal(err)
	}
	a, err := call.ReInvite(ctx, siprectest.Change{Add: []siprectest.StreamSpec{{Label: "c", Source: siprectest.Silence()}}, Remove: []siprec.Label{"2"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Media) != 3 || a.Media[1].Addr.Port() != 0 || !a.Media[2].Wants() {
		t.Fatalf("answer: %+v", a.Media)
	}
	u.receiver(call.Stream("c").Port()).atLeast(5)
	if _, err := call.ReInvite(ctx, siprectest.Change{Remove: []siprec.Label{"x"}}); !errors.Is(err, siprectest.ErrNoStream) {
		t.Errorf("removing a stream that is not there: %v", err)
	}
}

func TestRefusalIsATypedError(t *testing.T) {
	transports(t, func(t *testing.T, u *uas) {
		u.script(func(r request) []string {
			return []string{u.response(r, 503, "Draining", "", "Retry-After: 30 (soon)", "Warning: 399 srs \"full\"")}
		})
		c := dial(t, u, siprectest.Config{})
		_, err := c.Invite(limited(t), siprectest.CallSpec{})
		var got *siprectest.ResponseError
		if !errors.As(err, &got) {
			t.Fatalf("error: %v", err)
		}
		want := &siprectest.ResponseError{Method: "INVITE", Status: 503, Reason: "Draining", RetryAfter: 30 * time.Second, Warning: `399 srs "full"`}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if ack := u.wait("ACK"); ack.h.Get("Via") != rfc3261Via(t, ack) || !strings.Contains(ack.h.Get("To"), "srs-tag") {
			t.Errorf("ACK: %v", ack.h)
		}
	})
}

// rfc3261Via checks that a Via has RFC 3261's branch and gives it.
func rfc3261Via(t *testing.T, r request) string {
	if v := r.h.Get("Via"); strings.Contains(v, "branch=z9hG4bK") {
		return v
	}
	t.Errorf("Via %q has no branch", r.h.Get("Via"))
	return ""
}

func TestSilentServerTimesOut(t *testing.T) {
	u := newUAS(t, "udp")
	u.script(func(request) []string { return []string{} })
	c := dial(t, u, siprectest.Config{T1: 10 * time.Millisecond})
	_, err := c.Invite(limited(t), siprectest.CallSpec{})
	if !errors.Is(err, siprectest.ErrTimeout) {
		t.Fatalf("error: %v", err)
	}
	n := 0
	for len(u.seen) > 0 {
		if r := <-u.seen; r.method == "INVITE" {
			n++
		}
	}
	if n < 4 || n > 7 { // at 0, 1, 3, 7, 15, 31 and 63 T1; fewer on a machine that is busy
		t.Errorf("%d INVITEs were sent, not 7", n)
	}
}

func TestContextEndsTheWaitAndCancelsTheInvite(t *testing.T) {
	transports(t, func(t *testing.T, u *uas) {
		u.script(func(r request) []string {
			switch r.method {
			case "INVITE":
				return []string{u.response(r, 180, "Ringing", "")}
			case "CANCEL":
				return []string{u.response(r, 200, "OK", ""), u.response(u.lastInvite(), 487, "Request Terminated", "")}
			}
			return nil
		})
		c := dial(t, u, siprectest.Config{})
		ctx, cancel := context.WithCancel(limited(t))
		p, err := c.Begin(ctx, siprectest.CallSpec{})
		if err != nil {
			t.Fatal(err)
		}
		<-p.Provisional()
		cancel()
		if _, err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error: %v", err)
		}
		if got := u.wait("CANCEL"); got.h.Get("Via") != u.lastInvite().h.Get("Via") || got.h.Get("Cseq") != "1 CANCEL" {
			t.Errorf("CANCEL %v\nINVITE %v", got.h, u.lastInvite().h)
		}
		u.wait("ACK")
		if err := p.Cancel(limited(t)); err != nil {
			t.Errorf("cancel: %v", err)
		}
	})
}

func TestAnswerAfterCancelIsHungUp(t *testing.T) {
	u := newUAS(t, "udp")
	u.script(func(r request) []string {
		switch r.method {
		case "INVITE":
			return []string{u.response(r, 100, "Trying", "")}
		case "CANCEL":
			return []string{u.response(r, 200, "OK", ""), u.response(u.lastInvite(), 200, "OK", u.sdp(u.lastInvite().body))}
		}
		return nil
	})
	c := dial(t, u, siprectest.Config{})
	p, err := c.Begin(limited(t), siprectest.CallSpec{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Cancel(limited(t)); err != nil {
		t.Error(err)
	}
	u.wait("ACK")
	u.wait("BYE")
}

func TestBodyOptions(t *testing.T) {
	u := newUAS(t, "udp")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	raw := []byte("<recording><stream><label>96</label></stream><x:label a='b'> 97 </x:label><label>96</label></recording>")
	if d := cmp.Diff([]siprec.Label{"96", "97"}, siprectest.Labels(raw)); d != "" {
		t.Error(d)
	}
	raw = siprectest.Relabel(raw, "left")
	if got := string(raw); got != "<recording><stream><label>left</label></stream><x:label a='b'> 97 </x:label><label>left</label></recording>" {
		t.Errorf("relabelled: %s", got)
	}
	for _, tc := range []struct {
		name  string
		spec  siprectest.CallSpec
		check func(request) bool
	}{
		{"metadata first", siprectest.CallSpec{RawMetadata: raw, Body: siprectest.Body{MetadataFirst: true, MetadataType: "application/rs-metadata"}},
			func(r request) bool {
				return strings.Index(r.body, "application/rs-metadata\r\n") < strings.Index(r.body, "application/sdp") && strings.Contains(r.body, string(raw))
			}},
		{"LF only", siprectest.CallSpec{RawMetadata: raw, Body: siprectest.Body{LF: true, Boundary: "a b"}},
			func(r request) bool {
				return strings.HasPrefix(r.body, "--a b\nContent-Type: application/sdp\n\n") && strings.Contains(r.h.Get("Content-Type"), `boundary="a b"`)
			}},
		{"no metadata", siprectest.CallSpec{}, func(r request) bool { return r.h.Get("Content-Type") == "application/sdp" }},
		{"raw", siprectest.CallSpec{Body: siprectest.Body{ContentType: "text/plain", Raw: []byte("x\x00y")}}, func(r request) bool { return r.body == "x\x00y" }},
		{"extra part", siprectest.CallSpec{Body: siprectest.Body{ExtraParts: []siprec.Part{{Type: "application/x", Content: []byte("q")}}}},
			func(r request) bool { return parts(t, r.h.Get("Content-Type"), r.body)["application/x"] == "q" }},
		{"headers", siprectest.CallSpec{NoRequire: true, NoSRCTag: true, Headers: []siprectest.Header{{Name: "X-Test", Value: "yes"}}},
			func(r request) bool {
				return r.h.Get("Require") == "" && r.h.Get("X-Test") == "yes" && !strings.Contains(r.h.Get("Contact"), "sip.src")
			}},
		{"large", siprectest.CallSpec{RawMetadata: []byte("<r>" + strings.Repeat("x", 30000) + "</r>")}, func(r request) bool { return len(r.body) > 30000 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u.script(func(r request) []string { // what has no session description is still answered
				if r.method == "INVITE" {
					return []string{u.response(r, 200, "OK", u.sdp("m=audio 9 RTP/AVP 0\r\na=sendonly\r\n"))}
				}
				return nil
			})
			call, err := c.Invite(ctx, tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			defer call.Bye(ctx, nil)
			if r := u.wait("INVITE"); !tc.check(r) {
				t.Errorf("INVITE %v\n%.3000s", r.h, r.body)
			}
		})
	}
}
