package main

import (
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

func TestSecureCalls(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	for name, sec := range map[string]siprectest.Security{
		"gcm": {Suite: "AEAD_AES_256_GCM"}, "cm": {Suite: "AES_CM_128_HMAC_SHA1_80"},
		"dtls": {DTLS: true}, "dtls passive": {DTLS: true, Setup: "passive"},
		"ice": {ICE: true, Suite: "AES_CM_128_HMAC_SHA1_32", Mux: true},
		"ice dtls": {ICE: true, DTLS: true},
	} {
		t.Run(name, func(t *testing.T) {
			spec := bursts()
			for i := range spec.Streams {
				spec.Streams[i].Security = sec
			}
			spec.Metadata.SIPSessionIDs = []string{name}
			truth := converse(t, s.src("udp"), spec, 4*time.Second)
			for _, st := range truth.Streams {
				if st.Security != nil {
					t.Error(st.Security)
				}
			}
			var r listedRecording
			eventually(t, "recording locked", 20*time.Second, func() bool {
				rows := list(t, dir, "--call-id", name, "--state", "locked")
				if len(rows) == 1 {
					r = rows[0]
				}
				return len(rows) == 1
			})
			report := judge(t, dir, r, truth, siprectest.DefaultLimits)
			t.Logf("misalignment %s, length error %s", report.Misalignment, report.LengthError)
		})
	}
}
