package siprec_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/sdp/v3"

	"github.com/greffier/greffier/siprec"
)

var offered = lines(
	"m=audio 4000 RTP/AVP 0 8 111 101", "a=rtpmap:111 opus/48000/2", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=label:1", "a=sendonly", "a=rtcp-mux",
	"m=video 4002 RTP/AVP 96", "a=rtpmap:96 H264/90000", "a=label:3", "a=sendonly",
	"m=audio 4004 RTP/SAVP 8", "a=label:b leg", "a=inactive", "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:"+key30,
	"m=audio 0 RTP/AVP 8 101", "a=label:4",
	"m=application 4008 UDP/BFCP *",
)

func mustParse(t *testing.T, s string) *siprec.Offer {
	t.Helper()
	offer, err := siprec.ParseOffer([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return offer
}

func TestAnswer(t *testing.T) {
	offer := mustParse(t, offered)
	answer := siprec.Answer{Addr: netip.MustParseAddr("198.51.100.7"), Media: []siprec.AnswerMedia{
		{Port: 20000, Direction: siprec.RecvOnly, Formats: offer.Media[0].Formats[:4], RTCPMux: true},
		{},
		{Port: 20002, Direction: siprec.RecvOnly, Formats: offer.Media[2].Formats, RTCPMux: true, Crypto: ourCrypto(offer.Media[2].Crypto[0])},
		{Port: 20004, Direction: siprec.RecvOnly, Formats: offer.Media[3].Formats},
		{},
	}}
	got, err := answer.Marshal(offer, siprec.Origin{SessionID: 7, Version: 2})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"v=0", "o=- 7 2 IN IP4 198.51.100.7", "s=-", "c=IN IP4 198.51.100.7", "t=0 0",
		"m=audio 20000 RTP/AVP 0 8 111 101", "a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000", "a=rtpmap:111 opus/48000/2",
		"a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=recvonly", "a=rtcp-mux", "a=label:1",
		"m=video 0 RTP/AVP 96", "a=inactive", "a=label:3",
		"m=audio 20002 RTP/SAVP 8", "a=rtpmap:8 PCMA/8000", "a=inactive", "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:" + ourKey30, "a=label:b leg", // not sent, so not received
		"m=audio 0 RTP/AVP 8", "a=inactive", "a=label:4", // the SRC has refused it
		"m=application 0 UDP/BFCP *", "a=inactive", "",
	}, "\r\n")
	if diff := cmp.Diff(strings.Split(want, "\r\n"), strings.Split(string(got), "\r\n")); diff != "" {
		t.Error(diff)
	}
	if n := len(mustParse(t, string(got)).Media); n != 5 {
		t.Errorf("we read %d m-lines of our own answer", n)
	}
	var other sdp.SessionDescription
	if err := other.Unmarshal(got); err != nil {
		t.Errorf("another parser refuses the answer: %v", err)
	}
	if len(other.MediaDescriptions) != 5 {
		t.Errorf("another parser reads %d m-lines", len(other.MediaDescriptions))
	}
}

func TestAnswerIPv6(t *testing.T) {
	offer := mustParse(t, lines("m=audio 4000 RTP/AVP 8"))
	answer := siprec.Answer{Addr: netip.MustParseAddr("2001:db8::1%eth0"), Media: []siprec.AnswerMedia{{}}}
	got, err := answer.Marshal(offer, siprec.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got), "c=IN IP6 2001:db8::1\r\n") {
		t.Errorf("no IPv6 address in %q", got)
	}
}

func TestAnswerMistakes(t *testing.T) {
	offer := mustParse(t, lines("m=audio 4000 RTP/AVP 8"))
	addr := netip.MustParseAddr("192.0.2.1")
	pcma := offer.Media[0].Formats
	tests := []struct {
		name, want string
		answer     siprec.Answer
	}{
		{"m-lines", "it has 0 m-lines, the offer has 1", siprec.Answer{Addr: addr}},
		{"address", "no address", siprec.Answer{Media: make([]siprec.AnswerMedia, 1)}},
		{"port", "no such port", siprec.Answer{Addr: addr, Media: []siprec.AnswerMedia{{Port: 70000}}}},
		{"direction", "only receives", siprec.Answer{Addr: addr, Media: []siprec.AnswerMedia{{Port: 2, Direction: siprec.SendOnly, Formats: pcma}}}},
		{"no format", "without a format", siprec.Answer{Addr: addr, Media: []siprec.AnswerMedia{{Port: 2, Direction: siprec.RecvOnly}}}},
		{"format", "payload type 0 was not offered", siprec.Answer{Addr: addr, Media: []siprec.AnswerMedia{{Port: 2, Direction: siprec.RecvOnly, Formats: []siprec.Format{{}}}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.answer.Marshal(offer, siprec.Origin{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
}
