package siprectest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

func TestServerHangsUp(t *testing.T) {
	transports(t, func(t *testing.T, u *uas) {
		c, ctx := dial(t, u, siprectest.Config{}), limited(t)
		call, err := c.Invite(ctx, siprectest.TwoParty(siprectest.Silence(), siprectest.Silence()))
		if err != nil {
			t.Fatal(err)
		}
		invite := u.wait("INVITE")
		u.send(invite, "BYE", 7, "z9hG4bKbye", "", `Reason: SIP;cause=503;text="draining"`)
		if r := u.wait("SIP/2.0"); r.uri != "200" {
			t.Errorf("BYE was answered %s", r.uri)
		}
		<-call.Done()
		if e := call.End(); e.By != siprectest.ByServer || !strings.Contains(e.Reason, "draining") {
			t.Errorf("end: %+v", e)
		}
		if err := call.Play(ctx, time.Minute); err == nil {
			t.Error("play after the end gives no error")
		}
		u.send(invite, "BYE", 8, "z9hG4bKbye2", "")
		if r := u.wait("SIP/2.0"); r.uri != "481" {
			t.Errorf("BYE after BYE was answered %s", r.uri)
		}
	})
}

func TestServerAsksAndResumes(t *testing.T) {
	u := newUAS(t, "udp")
	u.setDirection("inactive")
	c, ctx := dial(t, u, siprectest.Config{T1: 20 * time.Millisecond}), limited(t)
	call, err := c.Invite(ctx, siprectest.TwoParty(siprectest.Silence(), siprectest.Silence()))
	if err != nil {
		t.Fatal(err)
	}
	invite := u.wait("INVITE")
	u.send(invite, "OPTIONS", 1, "z9hG4bKo", "")
	if r := u.wait("SIP/2.0"); r.uri != "200" || !strings.Contains(r.h.Get("Allow"), "UPDATE") {
		t.Errorf("OPTIONS: %s %v", r.uri, r.h)
	}
	// Consent arrives: the server wants the media after all.
	u.setDirection("recvonly")
	u.send(invite, "INVITE", 2, "z9hG4bKr", u.sdp(invite.body))
	for range 2 { // repeated until the ACK
		if r := u.wait("SIP/2.0"); r.uri != "200" || strings.Count(r.body, "a=sendonly") != 2 {
			t.Errorf("re-INVITE was answered %s\n%s", r.uri, r.body)
		}
	}
	u.send(invite, "ACK", 2, "z9hG4bKa", "")
	u.receiver(call.Stream("1").Port()).atLeast(3)
	u.send(invite, "PUBLISH", 3, "z9hG4bKp", "")
	for {
		if r := u.wait("SIP/2.0"); strings.Contains(r.h.Get("Cseq"), "PUBLISH") {
			if r.uri != "405" {
				t.Errorf("PUBLISH was answered %s", r.uri)
			}
			break
		}
	}
	var methods []string
	for _, r := range call.Requests() {
		methods = append(methods, r.Method)
	}
	if got := strings.Join(methods, " "); got != "OPTIONS INVITE PUBLISH" {
		t.Errorf("requests: %s", got)
	}
	if id := call.Dialog(); id != (siprec.DialogID{CallID: call.CallID(), LocalTag: "srs-tag", RemoteTag: id.RemoteTag}) || id.RemoteTag == "" {
		t.Errorf("dialog: %+v", id)
	}
}

func TestRepeatedRequestGetsTheSameAnswer(t *testing.T) {
	u := newUAS(t, "udp")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	spec := siprectest.CallSpec{OnRequest: func(m string) int {
		if m == "INFO" {
			return 488
		}
		return 0
	}}
	call, err := c.Invite(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	invite := u.wait("INVITE")
	for range 2 {
		u.send(invite, "INFO", 5, "z9hG4bKi", "")
		if r := u.wait("SIP/2.0"); r.uri != "488" {
			t.Errorf("INFO was answered %s", r.uri)
		}
	}
	if n := len(call.Requests()); n != 1 {
		t.Errorf("%d requests counted", n)
	}
	u.send(invite, "INFO", 4, "z9hG4bKold", "")
	u.wait("SIP/2.0")
	call.Abandon()
	<-call.Done()
}
