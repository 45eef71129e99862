package srs_test

import (
	"encoding/xml"
	"errors"
	"testing"

	"github.com/greffier/greffier/siprec/srs"
)

func (r *rig) snapshot(c *caller) <-chan error {
	done := make(chan error, 1)
	go func() { done <- r.server.RequestSnapshot(r.t.Context(), c.dialog(), "a <partial> was lost") }()
	return done
}

// TestSnapshotRequest is figure 13 of RFC 7866.
func TestSnapshotRequest(t *testing.T) {
	for accept, kind := range map[string]string{
		"Accept: application/sdp, application/rs-metadata, application/rs-metadata-request": "application/rs-metadata",
		"Accept: application/sdp, Application/rs-metadata+xml;q=1":                          "application/rs-metadata+xml",
		"Accept: application/sdp": "application/rs-metadata",
	} {
		each(t, func(t *testing.T, network string) {
			rec := newFake(t)
			r := start(t, rec)
			c := r.dial(network).caller()
			c.open(multipartType, both("sendonly"), "Allow: INVITE, UPDATE", accept)
			done := r.snapshot(c)
			m := c.request("UPDATE")
			for name, want := range map[string]string{
				"Content-Type": kind, "Content-Disposition": "recording-session", "Require": "siprec", "Cseq": "1 UPDATE",
				"Accept": "application/sdp, application/rs-metadata, application/rs-metadata+xml, multipart/mixed",
			} {
				if got := m.header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			var request struct {
				XMLName xml.Name `xml:"urn:ietf:params:xml:ns:recording:1 requestsnapshot"`
				Reason  string   `xml:"requestreason"`
			}
			if err := xml.Unmarshal([]byte(m.body), &request); err != nil || request.Reason != "a <partial> was lost" {
				t.Errorf("request %q: %v", m.body, err)
			}
			c.reply(m, "200 OK")
			if err := take(t, "result", done); err != nil {
				t.Error(err)
			}
			// The metadata come in a request of the client's; some put them into the 200.
			c.expect(c.ask("UPDATE", metadataType, metadata("alice")), 200)
			done = r.snapshot(c)
			c.replyWith(c.request("UPDATE"), "200 OK", metadataType, metadata("alice", "bob"))
			if err := take(t, "result", done); err != nil {
				t.Error(err)
			}
			for i := range 2 {
				if u := take(t, "Update", rec.updates); u.Offer != nil || len(u.Metadata.Participants) != i+1 {
					t.Errorf("update %+v", u)
				}
			}
			c.bye()
		})
	}
}

// TestSnapshotNotAllowed: no other request than UPDATE may ask for a snapshot (RFC 7866 section 9.2).
func TestSnapshotNotAllowed(t *testing.T) {
	for name, x := range map[string]struct {
		source srs.Source
		allow  string
	}{
		"by Allow":   {srs.Source{}, "Allow: INVITE, ACK, BYE"},
		"by profile": {srs.Source{NoSnapshots: true}, "Allow: INVITE, UPDATE"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, newFake(t), only(x.source))
			c := r.dial("udp").caller()
			c.open(multipartType, both("sendonly"), x.allow)
			if err := r.server.RequestSnapshot(t.Context(), c.dialog(), "why not"); !errors.Is(err, srs.ErrNotAllowed) {
				t.Errorf("result %v", err)
			}
			c.bye()
		})
	}
}

// TestSnapshotRefused: a client that never said what it takes is asked once.
func TestSnapshotRefused(t *testing.T) {
	r := start(t, newFake(t))
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly"))
	for status, want := range map[string]error{"481 Gone": srs.ErrGone, "408 Timeout": srs.ErrGone} {
		done := r.snapshot(c)
		c.reply(c.request("UPDATE"), status)
		if err := take(t, "result", done); !errors.Is(err, want) {
			t.Errorf("%s: %v", status, err)
		}
	}
	done := r.snapshot(c)
	c.reply(c.request("UPDATE"), "405 Method Not Allowed")
	var refused *srs.RequestError
	if err := take(t, "result", done); !errors.As(err, &refused) || refused.Status != 405 || refused.Method != "UPDATE" {
		t.Errorf("result %v", err)
	}
	if err := take(t, "result", r.snapshot(c)); !errors.Is(err, srs.ErrNotAllowed) {
		t.Errorf("result %v", err)
	}
	c.bye()
}
