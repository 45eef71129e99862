package siprec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

func TestDemands(t *testing.T) {
	const plain = "m=audio 4000 RTP/AVP 0 8 13 101 96\r\na=rtpmap:101 telephone-event/8000\r\na=rtpmap:96 opus/48000/2\r\na=label:1\r\n"
	secured := strings.Replace(plain, "RTP/AVP", "RTP/SAVP", 1) + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + strings.Repeat("A", 40) + "\r\n"
	keyless := strings.Replace(plain, "RTP/AVP", "RTP/SAVP", 1)
	tests := []struct {
		codecs, srtp, line, want string
	}{
		{"", "", plain, "0 8 13 101 96"},
		{"", "allowed", plain, "0 8 13 101 96"},
		{"", "allowed", secured, "0 8 13 101 96"},
		{"PCMA", "", plain, "8 13 101"},
		{"opus pcma", "", plain, "96 8 13 101"},
		{"G722", "", plain, ""},
		{"PCMA", "required", plain, ""},
		{"PCMA", "required", secured, "8 13 101"},
		{"", "required", plain, ""},
		{"", "forbidden", plain, "0 8 13 101 96"},
		{"", "forbidden", secured, ""},
		{"", "Required", secured, "0 8 13 101 96"},
		{"", "forbidden", keyless, ""},
	}
	for _, tt := range tests {
		d, err := siprec.ParseDemands(strings.Fields(tt.codecs), tt.srtp)
		if err != nil {
			t.Fatal(err)
		}
		offer := mustParse(t, "v=0\r\nc=IN IP4 192.0.2.1\r\n"+tt.line)
		before := fmt.Sprintf("%+v", offer)
		of := d.Of(offer)
		var got []string
		for _, f := range of.Media[0].Formats {
			got = append(got, fmt.Sprint(f.PayloadType))
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q %q of %q: %s", tt.codecs, tt.srtp, tt.line, diff)
		}
		if fmt.Sprintf("%+v", offer) != before {
			t.Errorf("%q %q changed the offer", tt.codecs, tt.srtp)
		}
		if _, ok := d.Accepts(offer.Media[0]); ok != (tt.want != "") {
			t.Errorf("%q %q of %q: accepted %v", tt.codecs, tt.srtp, tt.line, ok)
		}
		if m := of.Media[0]; m.Label != "1" || m.Port != 4000 || len(m.FormatIDs) != 5 {
			t.Errorf("another m-line: %+v", m)
		}
	}
	for _, bad := range []struct{ codec, srtp string }{{"PCMA/8000", ""}, {"", "perhaps"}, {"telephone-event", ""}, {"CN", ""}, {" ", ""}} {
		if _, err := siprec.ParseDemands([]string{bad.codec}, bad.srtp); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if _, err := siprec.ParseDemands([]string{"PCMA", "pcma"}, ""); err == nil {
		t.Error("a codec twice was taken")
	}
	if (siprec.Demands{Codecs: []string{"PCMA"}}).Of(nil) != nil {
		t.Error("an offer of nothing")
	}
}
