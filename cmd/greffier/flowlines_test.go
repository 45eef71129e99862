package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/greffier/greffier/siprec/siprectest"
)

// offer writes a description with m-lines of PCMU, each as "LABEL DIRECTION"; "-" is one that is closed (port 0).
func offer(version int, lines ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\no=src 1 %d IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n", version)
	for i, line := range lines {
		label, direction, open := strings.Cut(line, " ")
		if !open {
			b.WriteString("m=audio 0 RTP/AVP 0\n")
			continue
		}
		fmt.Fprintf(&b, "m=audio %d RTP/AVP 0\na=label:%s\na=%s\n", 40000+2*i, label, direction)
	}
	return crlf(b.String())
}

// TestLinesComeAndGo: a client begins with one m-line and without metadata, adds a second by re-INVITE, as Oracle's SBC does, tells by INFO
// who they are, closes the first, opens two more, and tells in the BYE that one party has left before.
func TestLinesComeAndGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), flowPatience)
			defer cancel()
			src, err := dialRaw(ctx, network, s.address(network))
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			server := s.address(network)
			c := rawCall{rawSRC: src, id: "lines-" + network, from: "From: <sip:src@" + src.local() + ">;tag=raw", to: "To: <sip:srs@" + server + ">",
				contact: "<sip:src@HOST>;+sip.src", target: "sip:srs@" + server}
			// step sends an INVITE, and speaks on the lines whose tones are given.
			step := func(sdp string, tones ...int) {
				t.Helper()
				a, err := c.ask("INVITE", "\r\n", []string{"Require: siprec"}, "application/sdp", sdp)
				if err != nil {
					t.Fatal(err)
				}
				answer, err := siprectest.ParseAnswer(a.body)
				if err != nil || len(answer.Media) != len(tones) {
					t.Fatalf("answer %q: %v", a.body, err)
				}
				var media []siprectest.AnswerMedia
				for i, m := range answer.Media {
					if (m.Addr.Port() == 0) != (tones[i] == 0) {
						t.Errorf("m-line %d is answered with port %d", i, m.Addr.Port())
					}
					if tones[i] != 0 {
						media = append(media, m)
					}
				}
				if err := speakTo(ctx, media, slices.DeleteFunc(tones, func(hz int) bool { return hz == 0 }), phase); err != nil {
					t.Fatal(err)
				}
			}
			document := crlf(strings.ReplaceAll(plainDocument, "CALL", c.id))
			step(offer(1, "1 sendonly"), 400)
			step(offer(2, "1 sendonly", "2 sendonly"), 600, 700)
			if _, err := c.ask("INFO", "\r\n", nil, "application/rs-metadata+xml", document); err != nil {
				t.Fatal(err)
			}
			step(offer(3, "-", "2 sendonly"), 0, 900)
			step(offer(4, "-", "2 sendonly", "3 sendonly", "4 sendonly"), 0, 1100, 1200, 1300)
			left := strings.Replace(document, "complete", "partial", 1)
			left = strings.Replace(left, `session_id="ZGlhbGVjdC1zZXNzaW9uMQ=="><associate-time>2026-01-02T03:04:05Z</associate-time></participantsessionassoc>`,
				`session_id="ZGlhbGVjdC1zZXNzaW9uMQ=="><disassociate-time>2026-01-02T03:14:05Z</disassociate-time></participantsessionassoc>`, 1)
			if left == document || strings.Count(left, "disassociate-time") != 2 {
				t.Fatal("nobody leaves")
			}
			body := "--b\r\nContent-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n\r\n" + left + "\r\n--b--\r\n"
			if _, err := c.ask("BYE", "\r\n", nil, "multipart/mixed;boundary=b", body); err != nil {
				t.Fatal(err)
			}
			r := finished(t, dir, c.id)
			side := sidecarOf(t, dir, r.ID)
			channels, rate := play(t, dir, r.ID)
			for i, want := range [][]int{{400, 600}, {700, 900, 1100}, {1200}, {1300}} {
				if i >= len(channels) || string(side.Channels[i].Label) != fmt.Sprint(i+1) {
					t.Fatalf("%d channels: %+v", len(channels), side.Channels)
				}
				kept{}.checkTones(t, i, siprectest.Detect(channels[i], rate, 400, 600, 700, 900, 1100, 1200, 1300), want)
			}
			if got := people(side); got != aliceAndBob || len(side.Metadata) != 2 {
				t.Errorf("people %s, %d documents", got, len(side.Metadata))
			}
		})
	}
	verifyGood(t, dir)
}
