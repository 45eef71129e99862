package srs

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

// FuzzMessage throws whole requests with a sound beginning at the parser, and what it makes of their bodies at everything that a session's
// first and second message meet: the session description is answered, the metadata are applied and compared, identifiers are found.
func FuzzMessage(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "siprec", "*.body"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		boundary, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(b)), "--"), "\n")
		f.Add("Session-ID: a;remote=b", "multipart/mixed;boundary="+strings.TrimSpace(boundary), b)
	}
	f.Add("User-to-User: 00FA0800705D4C5DCAAC41;encoding=hex", "application/sdp", []byte("v=0\r\nm=audio 4000 RTP/AVP 0\r\na=label:1\r\n"))
	f.Add("Cisco-Guid: 3475321012-0000004369-2456789012-4294967295", "application/rs-metadata+xml", []byte(`<recording xmlns="urn:ietf:params:xml:ns:recording:1"><session session_id="1"/></recording>`))
	p := newParser()
	f.Fuzz(func(t *testing.T, header, contentType string, body []byte) {
		var m siprec.Metadata
		for _, method := range []string{"INVITE", "UPDATE"} {
			text := fmt.Sprintf("%s sip:srs@192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.10:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"+
				"From: <sip:src@192.0.2.10>;tag=1\r\nTo: <sip:srs@192.0.2.20>\r\nCall-ID: 1@192.0.2.10\r\nCSeq: 1 %s\r\nContact: <sip:src@192.0.2.10>;+sip.src\r\n"+
				"%s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", method, method, header, contentType, len(body), body)
			msg, err := p.ParseSIP([]byte(text))
			req, ok := msg.(*sip.Request)
			if err != nil || !ok {
				return
			}
			in := &inbound{req: req, src: &Source{}, tag: "ours", place: place{transport: "tcp"}}
			if validate(req) != nil || validateExtensions(req) != nil {
				return
			}
			siprec.HeaderIDs(keptHeaders(req, []string{"Session-ID", "User-to-User", "Cisco-Guid"}), nil)
			c, failed := readBody(in)
			if failed != nil {
				return
			}
			if c.Metadata != nil {
				m.Apply(c.Metadata, time.Unix(1, 0))
			}
			siprec.Mismatches(&m, c.Offer)
			m.CallIDs()
			if c.Offer == nil {
				continue
			}
			var a siprec.Answer
			a.Addr = netip.IPv6Loopback()
			for range c.Offer.Media {
				a.Media = append(a.Media, siprec.AnswerMedia{Direction: siprec.Inactive})
			}
			if _, err := a.Marshal(c.Offer, siprec.Origin{}); err != nil {
				t.Errorf("an offer that was read cannot be refused: %v", err)
			}
		}
	})
}
