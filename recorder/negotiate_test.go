package recorder

import (
	"testing"

	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/siprec"
)

// FuzzNegotiate: whatever description parses, what is answered is a part of what was offered, and what is answered is decoded.
func FuzzNegotiate(f *testing.F) {
	for _, lines := range []string{
		"m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=label:1\r\na=sendonly\r\n",
		"m=audio 4000 RTP/AVP 9 13 96 111\r\na=rtpmap:96 red/8000\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1;maxplaybackrate=16000\r\n",
		"m=audio 4000 RTP/AVP 18 96\r\na=rtpmap:96 AMR-WB/16000\r\na=fmtp:96 octet-align=1\r\nm=video 5000 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n",
		"m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32\r\n",
		"m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 L16/44100/2\r\nm=audio 0 RTP/AVP 0\r\n",
	} {
		f.Add([]byte("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" + lines))
	}
	f.Fuzz(func(t *testing.T, sdp []byte) {
		o, err := siprec.ParseOffer(sdp)
		if err != nil {
			return
		}
		labels := map[siprec.Label]bool{}
		for _, l := range labelsOf(o) {
			if labels[l] {
				t.Fatalf("label %q is that of two m-lines", l)
			}
			labels[l] = true
		}
		for _, m := range o.Media {
			answer, decode := usable(codec.Set{}, m)
			if (answer == nil) != (decode == nil) || len(answer) > len(m.Formats) || len(decode) > len(answer) {
				t.Fatalf("%d formats offered, %d answered, %d decoded", len(m.Formats), len(answer), len(decode))
			}
			offered := map[uint8]bool{}
			for _, f := range m.Formats {
				offered[f.PayloadType] = true
			}
			for _, d := range decode {
				if !offered[d.PayloadType] || d.Codec.ClockRate <= 0 {
					t.Fatalf("%+v was not offered", d)
				}
			}
			if s := stream(codec.Set{}, m, 0, false); s.Active && (decode == nil || m.Security() == siprec.Refused) {
				t.Fatalf("sound is let in on a line that is refused: %+v", m)
			}
		}
	})
}
