package siprec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

// lines makes a session description of lines, with a frame that is in order.
func lines(l ...string) string {
	return "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" + strings.Join(l, "\r\n") + "\r\n"
}

func TestParseOffer(t *testing.T) {
	const frame = "media audio port=4000 RTP/AVP addr=192.0.2.1 rtcp=192.0.2.1:4001 label= sendrecv ptime=0s"
	const pcmu = " [0 PCMU/8000/1 ]"
	tests := []struct{ name, sdp, want string }{
		{"plain", lines("m=audio 4000 RTP/AVP 0"), frame + pcmu},
		{"static types", lines("m=audio 4000 RTP/AVP 3 4 9 10 11 13 18 19 2"), frame + " [3 GSM/8000/1 ] [4 G723/8000/1 ] [9 G722/8000/1 ]" +
			" [10 L16/44100/2 ] [11 L16/44100/1 ] [13 CN/8000/1 ] [18 G729/8000/1 ] [19 CN/8000/1 ] [2 G721/8000/1 ]"},
		{"garbage types", lines("m=audio 4000 RTP/AVP 0 128 -1 x 0 999999999999"), frame + pcmu},
		{"opus", lines("m=audio 4000 RTP/AVP 111 126", "a=rtpmap:111 OpUs/48000/2", "a=fmtp:111 stereo=1", "a=rtpmap:126 telephone-event"),
			frame + " [111 OPUS/48000/2 stereo=1] [126 TELEPHONE-EVENT/8000/1 ]"},
		{"mistyped rtpmap", lines("m=audio 4000 RTP/AVP 0 8 9 97", "a=rtpmap:0 pcmu/8000a", "a=rtpmap:8 pcma", "a=rtpmap:9", "a=rtpmap:97 X/99999999999/0"),
			frame + pcmu + " [8 PCMA/8000/1 ] [9 G722/8000/1 ] [97 X/0/1 ]"},
		{"rtpmap of a static type", lines("m=audio 4000 RTP/AVP 0", "a=rtpmap:0 G729/8000"), frame + " [0 G729/8000/1 ]"},
		{"line feeds only", strings.ReplaceAll(lines("m=audio 4000 RTP/AVP 0"), "\r", ""), frame + pcmu},
		{"carriage returns only", strings.ReplaceAll(lines("m=audio 4000 RTP/AVP 0"), "\n", ""), frame + pcmu},
		{"trailing space, stray text", "\n" + strings.ReplaceAll(lines("m=audio 4000 RTP/AVP 0", "...", "=", "a"), "\r", " \t\r"), frame + pcmu},
		{"no s=, t=, odd o=", "v=0\no=x\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0", frame + pcmu},
		{"no v=", "\ufeffc=IN IP4 192.0.2.1\nm=audio 4000/2 RTP/AVP 0", frame + pcmu},
		{"odd attributes", lines("m=audio 4000 RTP/AVP 0", "a=direction:both", "a=3gOoBTC", "a=", "a=ptime:x", "a=rtcp:", "a=fmtp", "a=rtpmap:x y"), frame + pcmu},
		{"upper-case type", lines("m=AUDIO 4000 RTP/AVP 0"), frame + pcmu},
		{"session direction", lines("a=sendonly", "m=audio 4000 RTP/AVP 0", "m=audio 4000 RTP/AVP 0", "a=inactive"),
			strings.Replace(frame, "sendrecv", "sendonly", 1) + pcmu + "\n" + strings.Replace(frame, "sendrecv", "inactive", 1) + pcmu},
		{"label, ptime, mux", lines("m=audio 4000 RTP/AVP 0", "a=label: one two ", "a=label:3", "a=PTIME:30.0", "a=rtcp-mux"),
			"media audio port=4000 RTP/AVP addr=192.0.2.1 rtcp=192.0.2.1:4001 label=one two sendrecv ptime=30ms mux" + pcmu},
		{"rtcp", lines("m=audio 4000 RTP/AVP 0", "a=rtcp:53020 IN IP6 2001:db8::1"), strings.Replace(frame, "192.0.2.1:4001", "[2001:db8::1]:53020", 1) + pcmu},
		{"hold by address", lines("m=audio 4000 RTP/AVP 0", "c=IN IP4 0.0.0.0", "a=sendonly"),
			"media audio port=4000 RTP/AVP addr=0.0.0.0 rtcp=invalid AddrPort label= inactive ptime=0s" + pcmu},
		{"IPv6", lines("m=audio 4000 RTP/AVP 0", "c=IN IP6 2001:db8::9"), strings.ReplaceAll(strings.Replace(frame, "192.0.2.1:", "[2001:db8::9]:", 1), "192.0.2.1", "2001:db8::9") + pcmu},
		{"IPv4 in IPv6", lines("m=audio 4000 RTP/AVP 0", "c=IN IP6 ::ffff:192.0.2.1"), frame + pcmu},
		{"multicast scope", lines("m=audio 4000 RTP/AVP 0", "c=IN IP4 192.0.2.1/127/3"), frame + pcmu},
		{"name", lines("m=audio 4000 RTP/AVP 0", "c=IN IP4 media.example.com"),
			"media audio port=4000 RTP/AVP addr=invalid IP rtcp=invalid AddrPort label= sendrecv ptime=0s host=media.example.com" + pcmu},
		{"no address", "v=0\nm=audio 4000 RTP/AVP 0\na=sendonly", "media audio port=4000 RTP/AVP addr=invalid IP rtcp=invalid AddrPort label= sendonly ptime=0s" + pcmu},
		{"refused", lines("m=audio 0 RTP/AVP 0"), "media audio port=0 RTP/AVP addr=192.0.2.1 rtcp=invalid AddrPort label= sendrecv ptime=0s" + pcmu},
		{"highest port", lines("m=audio 65535 RTP/SAVPF 0"), "media audio port=65535 RTP/SAVPF addr=192.0.2.1 rtcp=invalid AddrPort label= sendrecv ptime=0s" + pcmu},
		{"fax", lines("m=image 4000 udptl t38"), "media image port=4000 udptl addr=192.0.2.1 rtcp=invalid AddrPort label= sendrecv ptime=0s"},
		{"no m-lines", lines(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			offer, err := siprec.ParseOffer([]byte(tt.sdp))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, strings.TrimSuffix(dumpOffer(offer), "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseOfferRefuses(t *testing.T) {
	many := strings.Repeat("m=audio 1 RTP/AVP 0\n", siprec.MaxMedia+1)
	tests := []struct{ name, sdp, reason string }{
		{"empty", "", "not a session description"},
		{"prose", "hello\n", "not a session description"},
		{"no port", lines("m=audio x RTP/AVP 0"), "m-line 1 has no usable port: \"x\""},
		{"port too high", lines("m=audio 1 RTP/AVP 0", "m=audio 65536 RTP/AVP 0"), "m-line 2 has no usable port"},
		{"incomplete", lines("m=audio 4000"), "m-line 1 is incomplete"},
		{"control character", lines("m=audio 4000 RTP/\x01AVP 0"), "characters that do not belong"},
		{"control character in the label", lines("m=audio 4000 RTP/AVP 0", "a=label:a\x00b"), "a=label holds characters"},
		{"long label", lines("m=audio 4000 RTP/AVP 0", "a=label:"+strings.Repeat("x", 300)), "a=label: more than the limit of 256"},
		{"long word", lines("m=audio 4000 RTP/AVP " + strings.Repeat("x", 300)), "word of an m-line: more than the limit of 256"},
		{"many m-lines", many, "m-lines in the session description: more than the limit of 32"},
		{"many formats", lines("m=audio 4000 RTP/AVP" + strings.Repeat(" 0", 65)), "formats in an m-line: more than the limit of 64"},
		{"big", strings.Repeat("a", siprec.MaxSDPBytes+1), "limit of 65536"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := siprec.ParseOffer([]byte(tt.sdp))
			wantMalformed(t, err, tt.reason)
		})
	}
}

func TestOfferVersionIsKept(t *testing.T) {
	for version, sdp := range map[string]string{"17": "v=0\no=- 1 17 IN IP4 192.0.2.1\n", "": "v=0\no=odd\n"} {
		offer, err := siprec.ParseOffer([]byte(sdp))
		if err != nil {
			t.Fatal(err)
		}
		if offer.Version != version {
			t.Errorf("version %q, want %q", offer.Version, version)
		}
	}
}

func ExampleParseOffer() {
	offer, err := siprec.ParseOffer([]byte("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 8\r\na=sendonly\r\na=label:1\r\n"))
	if err != nil {
		panic(err)
	}
	m := offer.Media[0]
	fmt.Println(m.Label, m.Direction, m.Addr, m.Port, m.Formats[0].Encoding)
	// Output: 1 sendonly 192.0.2.1 4000 PCMA
}
