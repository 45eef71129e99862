package srs_test

import (
	"context"
	"errors"
	"testing"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// TestProbeHeardButNotTaken: a client that accepts our re-INVITE is there, whatever becomes of what it answers. Who probes ends
// the sessions of those that are not.
func TestProbeHeardButNotTaken(t *testing.T) {
	for name, x := range map[string]struct {
		body   string
		update func(context.Context, siprec.DialogID, siprec.Change) (siprec.Answer, error)
	}{
		"no answer":          {"", nil},
		"another protection": {"v=0\r\no=src 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 50000 RTP/SAVP 0\r\na=sendonly\r\n", nil},
		"refused by the Recorder": {offer("inactive"), func(context.Context, siprec.DialogID, siprec.Change) (siprec.Answer, error) {
			return siprec.Answer{}, errors.New("not now")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := newFake(t)
			rec.update = x.update
			r := hurried(t, rec, only(srs.Source{}))
			c := r.dial("udp").caller()
			c.open(multipartType, both("sendonly"))
			done := make(chan error, 1)
			go func() { done <- r.server.Probe(t.Context(), c.dialog()) }()
			c.reply(c.request("OPTIONS"), "405 Method Not Allowed")
			contentType := "application/sdp"
			if x.body == "" {
				contentType = ""
			}
			c.replyWith(c.request("INVITE"), "200 OK", contentType, x.body)
			c.request("ACK")
			if err := take(t, "result", done); err != nil {
				t.Errorf("a client that answered 200 counts as gone: %v", err)
			}
			c.bye()
		})
	}
}
