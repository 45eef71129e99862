package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// speak has ffmpeg send two seconds of a tone to a port, by SRTP under a key and salt of 30 bytes.
func speak(t *testing.T, port uint16, suite, key string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000:duration=2",
		"-c:a", "pcm_mulaw", "-f", "rtp", "-srtp_out_suite", suite, "-srtp_out_params", key, fmt.Sprintf("srtp://127.0.0.1:%d?pkt_size=182", port))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("send with ffmpeg: %v: %s", err, out)
	}
}

// spoken expects the tone in the first channel of a call's recording, and nothing that was not authentic.
func spoken(t *testing.T, dir, callID string) {
	t.Helper()
	r := finished(t, dir, callID)
	stats := *sidecarOf(t, dir, r.ID).Channels[0].Stats
	if stats.Placed < 90 || stats.AuthFailed > strays {
		t.Errorf("%+v", stats)
	}
	channels, rate := play(t, dir, r.ID)
	a, b, all, w := 0.0, 0.0, 0.0, 2*math.Cos(2*math.Pi*440/float64(rate)) // Goertzel
	pcm := channels[0][rate/2 : rate]                                      // in the middle: ffmpeg begins with a rush
	for _, v := range pcm {
		a, b, all = float64(v)+w*a-b, a, all+float64(v)*float64(v)
	}
	if share := (a*a + b*b - w*a*b) / (all * float64(len(pcm)) / 2); share < 0.95 {
		t.Errorf("%.0f %% of the sound is the tone that was sent", 100*share)
	}
}

// silent are two streams of which siprectest sends nothing: another program does.
func silent(security siprectest.Security, attrs ...string) siprectest.CallSpec {
	spec := bursts()
	spec.Streams[0].Script.Start, spec.Streams[0].Security, spec.Streams[0].Attrs = time.Hour, security, attrs
	spec.Streams[0].Formats = []siprec.Format{siprectest.PCMU}
	return spec
}

// TestForeignSRTP: what ffmpeg protects, whose SRTP is its own, is opened.
func TestForeignSRTP(t *testing.T) {
	dir := t.TempDir()
	src := start(t, dir, recordAll).src("udp")
	for _, suite := range []string{"AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"} {
		t.Run(suite, func(t *testing.T) {
			call, err := src.Invite(t.Context(), silent(siprectest.Security{Suite: suite}))
			if err != nil {
				t.Fatal(err)
			}
			speak(t, call.Answer().Media[0].Addr.Port(), suite, call.Stream("1").Secret())
			if err := call.Bye(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			spoken(t, dir, call.CallID())
		})
	}
}

// TestForeignDTLS: openssl agrees keys with us, and ffmpeg speaks under them.
func TestForeignDTLS(t *testing.T) {
	dir := t.TempDir()
	key, cert := filepath.Join(t.TempDir(), "key.pem"), filepath.Join(t.TempDir(), "cert.pem")
	if out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=src",
		"-keyout", key, "-out", cert).CombinedOutput(); err != nil {
		t.Fatalf("make a certificate: %v: %s", err, out)
	}
	out, err := exec.Command("openssl", "x509", "-in", cert, "-noout", "-fingerprint", "-sha256").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, print, _ := strings.Cut(strings.TrimSpace(string(out)), "=")
	call, err := start(t, dir, recordAll).src("udp").Invite(t.Context(),
		silent(siprectest.Security{Profile: "UDP/TLS/RTP/SAVP"}, "fingerprint:sha-256 "+print, "setup:active", "rtcp-mux"))
	if err != nil {
		t.Fatal(err)
	}
	port := call.Answer().Media[0].Addr.Port()
	client := exec.CommandContext(t.Context(), "openssl", "s_client", "-dtls1_2", "-connect", fmt.Sprintf("127.0.0.1:%d", port), "-cert", cert, "-key", key,
		"-use_srtp", "SRTP_AES128_CM_SHA1_80", "-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "60")
	stdin, err := client.StdinPipe() // at its end the client goes
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	material := regexp.MustCompile(`Keying material: ([0-9A-F]{120})`)
	var agreed []byte
	for lines := bufio.NewScanner(stdout); agreed == nil && lines.Scan(); {
		if m := material.FindStringSubmatch(lines.Text()); m != nil {
			if agreed, err = hex.DecodeString(m[1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if agreed == nil {
		t.Fatal("openssl has agreed no keys")
	}
	// RFC 5764 section 4.2: the keys of client and server, then their salts. The client sends under its own.
	speak(t, port, "AES_CM_128_HMAC_SHA1_80", base64.StdEncoding.EncodeToString(append(agreed[:16:16], agreed[32:46]...)))
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	_ = client.Wait() // what it says of the end is its own affair
	spoken(t, dir, call.CallID())
}
