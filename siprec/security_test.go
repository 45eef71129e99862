package siprec_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/greffier/greffier/siprec"
)

var (
	key30    = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 30))
	ourKey30 = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0x55}, 30))
	key28    = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 28))
	key44    = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 44))
	key46    = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 46))

	sum256 = strings.TrimSuffix(strings.Repeat("4A:", 32), ":")
	icePwd = "asd88fgpdd777uzjYhagZg"

	securedOffer = lines(
		"a=setup:actpass", "a=fingerprint:SHA-256 "+sum256, "a=ice-options:trickle", "a=ice-ufrag:8hhY", "a=ice-pwd:"+icePwd,
		"m=audio 4000 RTP/SAVP 0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+key30+"|2^20|1:4 WSH=128", "a=crypto:2 AEAD_AES_256_GCM inline:"+key44,
		"m=audio 9 UDP/TLS/RTP/SAVPF 0 8", "c=IN IP4 0.0.0.0", "a=rtcp-mux", "a=sendonly", "a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host",
		"m=audio 4004 TCP/TLS/RTP/SAVP 0",
	)
)

// ourCrypto answers a line with our key.
func ourCrypto(c siprec.Crypto) *siprec.Crypto {
	key, salt := c.Suite.Sizes()
	c.Keys = []siprec.CryptoKey{{Secret: siprec.NewSecret(bytes.Repeat([]byte{0x55}, key+salt))}}
	return &c
}

// secure answers what an m-line asks for.
func secure(a *siprec.AnswerMedia, m siprec.Media) {
	switch m.Security() {
	case siprec.SDES:
		a.Crypto = ourCrypto(m.Crypto[0])
	case siprec.DTLS:
		a.Fingerprint, a.Setup = &siprec.Fingerprint{Hash: "sha-256", Sum: make([]byte, 32)}, m.Setup.Answer()
	}
	if m.ICE != nil {
		a.ICE = &siprec.ICE{Ufrag: "oursOURS", Pwd: siprec.NewSecret([]byte(icePwd))}
	}
}

// noSecrets fails when a key or a password can be read in what prints of an offer.
func noSecrets(t *testing.T, o *siprec.Offer) {
	t.Helper()
	asJSON, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%v %+v %#v", o.Media, o.Media, o.Media)
	for i, m := range o.Media {
		for _, c := range m.Crypto {
			for _, k := range c.Keys {
				secret := base64.StdEncoding.EncodeToString(k.Secret.Reveal())
				if strings.Contains(string(asJSON), secret) || strings.Contains(printed, secret) {
					t.Errorf("m-line %d: the key is printed", i)
				}
			}
		}
	}
}

func TestCrypto(t *testing.T) {
	const s80 = "AES_CM_128_HMAC_SHA1_80 inline:"
	tests := []struct{ name, value, want string }{
		{"plain", "1 " + s80 + key30, "1 AES_CM_128_HMAC_SHA1_80 [30 ]"},
		{"case, tabs, no padding", "01\taes_cm_128_hmac_sha1_32\tINLINE:" + key30, "1 AES_CM_128_HMAC_SHA1_32 [30 ]"},
		{"AES 256", "1 AES_256_CM_HMAC_SHA1_80 inline:" + strings.TrimRight(key46, "="), "1 AES_256_CM_HMAC_SHA1_80 [46 ]"},
		{"AES 256 short tag", "1 AES_256_CM_HMAC_SHA1_32 inline:" + key46, "1 AES_256_CM_HMAC_SHA1_32 [46 ]"},
		{"GCM 128", "999999999 AEAD_AES_128_GCM inline:" + key28, "999999999 AEAD_AES_128_GCM [28 ]"},
		{"GCM 256", "1 AEAD_AES_256_GCM inline:" + key44, "1 AEAD_AES_256_GCM [44 ]"},
		{"lifetime", "1 " + s80 + key30 + "|2^20", "1 AES_CM_128_HMAC_SHA1_80 [30 ]"},
		{"decimal lifetime, MKI", "1 " + s80 + key30 + "|1000|258:4", "1 AES_CM_128_HMAC_SHA1_80 [30 00000102]"},
		{"MKI alone", "1 " + s80 + key30 + "|1:1", "1 AES_CM_128_HMAC_SHA1_80 [30 01]"},
		{"two keys", "1 " + s80 + key30 + "|1:1;inline:" + ourKey30 + "|2^31|2:1", "1 AES_CM_128_HMAC_SHA1_80 [30 01] [30 02]"},
		{"harmless parameters", "1 " + s80 + key30 + " WSH=256 KDR=0 -NEW", "1 AES_CM_128_HMAC_SHA1_80 [30 ]"},
		{"two keys without MKI", "1 " + s80 + key30 + ";inline:" + ourKey30, ""},
		{"two keys, one MKI", "1 " + s80 + key30 + "|1:1;inline:" + ourKey30 + "|1:1", ""},
		{"MKIs of two lengths", "1 " + s80 + key30 + "|1:1;inline:" + ourKey30 + "|2:2", ""},
		{"MKI too long", "1 " + s80 + key30 + "|1:129", ""},
		{"MKI does not fit", "1 " + s80 + key30 + "|256:1", ""},
		{"MKI negative", "1 " + s80 + key30 + "|-1:1", ""},
		{"lifetime too long", "1 " + s80 + key30 + "|2^49", ""},
		{"lifetime of nothing", "1 " + s80 + key30 + "|0", ""},
		{"two lifetimes", "1 " + s80 + key30 + "|2^20|2^20", ""},
		{"in clear", "1 " + s80 + key30 + " UNENCRYPTED_SRTP", ""},
		{"reports in clear", "1 " + s80 + key30 + " UNENCRYPTED_SRTCP", ""},
		{"not authenticated", "1 " + s80 + key30 + " UNAUTHENTICATED_SRTP", ""},
		{"key derivation", "1 " + s80 + key30 + " KDR=1", ""},
		{"correction", "1 " + s80 + key30 + " FEC_ORDER=FEC_SRTP", ""},
		{"unknown parameter", "1 " + s80 + key30 + " NEW", ""},
		{"tag 0", "0 " + s80 + key30, ""},
		{"tag too long", "1234567890 " + s80 + key30, ""},
		{"unknown suite", "1 F8_128_HMAC_SHA1_80 inline:" + key30, ""},
		{"no cipher", "1 NULL_HMAC_SHA1_80 inline:" + key30, ""},
		{"key of another size", "1 " + s80 + key28, ""},
		{"not base64", "1 " + s80 + strings.Repeat("!", 40), ""},
		{"another method", "1 AES_CM_128_HMAC_SHA1_80 uri:" + key30, ""},
		{"no key", "1 AES_CM_128_HMAC_SHA1_80", ""},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := mustParse(t, lines("m=audio 4000 RTP/SAVP 0", "a=crypto:"+tt.value)).Media[0]
			got, security := "", siprec.Refused
			for _, c := range m.Crypto {
				got, security = fmt.Sprintf("%d %s", c.Tag, c.Suite), siprec.SDES
				for _, k := range c.Keys {
					got += fmt.Sprintf(" [%d %x]", len(k.Secret.Reveal()), k.MKI)
				}
			}
			if got != tt.want || m.Security() != security {
				t.Errorf("got %q, %q; want %q", got, m.Security(), tt.want)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	long := func(n int) string { return strings.TrimSuffix(strings.Repeat("0a:", n), ":") }
	for value, ok := range map[string]bool{
		"sha-256 " + sum256: true, "SHA-256\t" + long(32): true, "sha-384 " + long(48): true, "sha-512 " + long(64): true,
		"sha-1 " + long(20): false, "md5 " + long(16): false, "sha-256 " + long(31): false, "sha-256 " + long(33): false,
		"sha-256": false, "": false, "sha-256 " + strings.Replace(sum256, "A", "G", 1): false, "sha-256 " + strings.Replace(sum256, ":", "", 1): false,
	} {
		m := mustParse(t, lines("m=audio 4000 UDP/TLS/RTP/SAVP 0", "a=fingerprint:"+value)).Media[0]
		if got := m.Security() == siprec.DTLS; got != ok {
			t.Errorf("%q: %v, want %v", value, got, ok)
		}
		if ok && !strings.EqualFold(m.Fingerprints[0].String(), strings.ReplaceAll(value, "\t", " ")) {
			t.Errorf("%q is written as %q", value, m.Fingerprints[0])
		}
	}
}

func TestSecurityOfProfiles(t *testing.T) {
	crypto, fingerprint := "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+key30, "a=fingerprint:sha-256 "+sum256
	tests := []struct {
		profile string
		attrs   []string
		want    siprec.Security
	}{
		{"RTP/AVP", nil, siprec.Clear},
		{"rtp/avpf", nil, siprec.Clear},
		{"RTP/AVP", []string{crypto, fingerprint}, siprec.Clear},
		{"RTP/SAVP", []string{crypto}, siprec.SDES},
		{"RTP/SAVPF", []string{fingerprint, crypto}, siprec.SDES},
		{"RTP/SAVPF", []string{fingerprint}, siprec.DTLS},
		{"RTP/SAVP", nil, siprec.Refused},
		{"UDP/TLS/RTP/SAVP", []string{fingerprint}, siprec.DTLS},
		{"UDP/TLS/RTP/SAVPF", []string{fingerprint, "a=setup:ACTIVE"}, siprec.DTLS},
		{"UDP/TLS/RTP/SAVPF", []string{fingerprint, "a=setup:holdconn"}, siprec.Refused},
		{"UDP/TLS/RTP/SAVPF", []string{fingerprint, "a=setup:x"}, siprec.Refused},
		{"UDP/TLS/RTP/SAVP", []string{crypto}, siprec.Refused},
		{"TCP/RTP/AVP", nil, siprec.Refused},
		{"TCP/TLS/RTP/SAVP", []string{fingerprint}, siprec.Refused},
		{"TCP/DTLS/RTP/SAVPF", []string{fingerprint}, siprec.Refused},
		{"RTP/XYZ", nil, siprec.Refused},
		{"udptl", nil, siprec.Refused},
	}
	for _, tt := range tests {
		m := mustParse(t, lines(append([]string{"m=audio 4000 " + tt.profile + " 0"}, tt.attrs...)...)).Media[0]
		if got := m.Security(); got != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.profile, tt.attrs, got, tt.want)
		}
	}
}

func TestICE(t *testing.T) {
	o := mustParse(t, securedOffer)
	noSecrets(t, o)
	m := o.Media[1]
	if m.ICE == nil || m.ICE.Ufrag != "8hhY" || string(m.ICE.Pwd.Reveal()) != icePwd {
		t.Fatalf("ICE is %+v", m.ICE)
	}
	if m.Direction != siprec.SendOnly {
		t.Errorf("the unknown address of ICE is taken for hold: %s", m.Direction)
	}
	for _, bad := range []string{"a=ice-pwd:short", "a=ice-pwd:" + strings.Repeat("x", 257), "a=ice-pwd:" + icePwd + "\x01", "a=ice-pwd:" + icePwd + "=="} {
		if o := mustParse(t, lines("m=audio 4000 RTP/AVP 0", "a=ice-ufrag:8hhY", bad)); o.Media[0].ICE != nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestSecretNeverPrints(t *testing.T) {
	type hidden struct{ inner siprec.Secret }
	s := siprec.NewSecret([]byte("hunter2hunter2"))
	asJSON, err := json.Marshal(map[string]any{"s": s, "c": siprec.CryptoKey{Secret: s}})
	if err != nil {
		t.Fatal(err)
	}
	text, _ := s.MarshalText()
	all := string(asJSON) + string(text) + s.String() + s.GoString()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		all += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, hidden{s}) + fmt.Sprintf(verb, &hidden{s}) + fmt.Sprintf(verb, []siprec.Secret{s})
	}
	for _, bad := range []string{"hunter", "68756e746572", "68756E746572", "104 117 110", "0x68"} {
		if strings.Contains(all, bad) {
			t.Errorf("%q is printed in %s", bad, all)
		}
	}
	if !strings.Contains(string(asJSON), "[secret]") || !s.Equal(siprec.NewSecret(s.Reveal())) || s.Equal(siprec.Secret{}) {
		t.Errorf("%s", asJSON)
	}
}

func TestSecureAnswer(t *testing.T) {
	offer := mustParse(t, securedOffer)
	a := siprec.Answer{Addr: netip.MustParseAddr("2001:db8::1"), Media: make([]siprec.AnswerMedia, 3)}
	for i, m := range offer.Media[:2] {
		a.Media[i] = siprec.AnswerMedia{Port: 20000 + 2*i, Direction: siprec.RecvOnly, Formats: m.Formats[:1], RTCPMux: true}
		secure(&a.Media[i], m)
	}
	got, err := a.Marshal(offer, siprec.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	_, media, _ := strings.Cut(string(got), "t=0 0\r\n")
	want := strings.Join([]string{
		"a=ice-lite",
		"m=audio 20000 RTP/SAVP 0", "a=rtpmap:0 PCMU/8000", "a=recvonly", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + ourKey30,
		"a=ice-ufrag:oursOURS", "a=ice-pwd:" + icePwd, "a=candidate:1 1 UDP 2130706431 2001:db8::1 20000 typ host",
		"a=candidate:1 2 UDP 2130706430 2001:db8::1 20001 typ host",
		"m=audio 20002 UDP/TLS/RTP/SAVPF 0", "a=rtpmap:0 PCMU/8000", "a=recvonly", "a=rtcp-mux",
		"a=fingerprint:sha-256 " + strings.TrimSuffix(strings.Repeat("00:", 32), ":"), "a=setup:passive",
		"a=ice-ufrag:oursOURS", "a=ice-pwd:" + icePwd, "a=candidate:1 1 UDP 2130706431 2001:db8::1 20002 typ host",
		"m=audio 0 TCP/TLS/RTP/SAVP 0", "a=inactive", "",
	}, "\r\n")
	if media != want {
		t.Errorf("got\n%s\nwant\n%s", media, want)
	}

	wrong := func(name, reason string, change func(a []siprec.AnswerMedia)) {
		t.Run(name, func(t *testing.T) {
			b := a
			b.Media = append([]siprec.AnswerMedia(nil), a.Media...)
			change(b.Media)
			if _, err := b.Marshal(offer, siprec.Origin{}); err == nil || !strings.Contains(err.Error(), reason) {
				t.Errorf("got error %v, want %q", err, reason)
			}
		})
	}
	wrong("in clear", "exactly one key", func(m []siprec.AnswerMedia) { m[0].Crypto = nil })
	wrong("another tag", "was not offered", func(m []siprec.AnswerMedia) {
		c := *m[0].Crypto
		c.Tag = 3
		m[0].Crypto = &c
	})
	wrong("short key", "has 30", func(m []siprec.AnswerMedia) {
		m[0].Crypto = &siprec.Crypto{Tag: 1, Suite: siprec.AESCM128SHA80, Keys: []siprec.CryptoKey{{}}}
	})
	wrong("no fingerprint", "without a fingerprint", func(m []siprec.AnswerMedia) { m[1].Fingerprint = nil })
	wrong("setup", "does not answer", func(m []siprec.AnswerMedia) { m[1].Setup = siprec.SetupActive })
	wrong("crypto for DTLS", "does not ask for", func(m []siprec.AnswerMedia) { m[1].Crypto = m[0].Crypto })
	wrong("over TCP", "no usable keys", func(m []siprec.AnswerMedia) {
		m[2] = siprec.AnswerMedia{Port: 4, Direction: siprec.RecvOnly, Formats: m[0].Formats}
	})
	wrong("ICE", "too short", func(m []siprec.AnswerMedia) { m[0].ICE = &siprec.ICE{} })
}

// FuzzCrypto and FuzzFingerprint go to the attributes directly: whatever is taken is of the right size.
func FuzzCrypto(f *testing.F) {
	f.Add("1 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + "|2^20|1:4 WSH=128")
	f.Add("2 AEAD_AES_128_GCM inline:" + key28 + "|1:1;inline:" + key28 + "|2:1")
	f.Fuzz(func(t *testing.T, value string) {
		o, err := siprec.ParseOffer([]byte("m=audio 1 RTP/SAVP 0\na=crypto:" + value))
		if err != nil {
			return
		}
		for _, m := range o.Media {
			for _, c := range m.Crypto {
				key, salt := c.Suite.Sizes()
				if key == 0 || c.Tag < 1 || c.Tag > 999999999 || len(c.Keys) == 0 || len(c.Keys) > siprec.MaxCryptoKeys {
					t.Errorf("%+v", c)
				}
				for _, k := range c.Keys {
					if len(k.Secret.Reveal()) != key+salt || len(k.MKI) > siprec.MaxMKIBytes || len(k.MKI) != len(c.Keys[0].MKI) {
						t.Errorf("%+v", k)
					}
				}
			}
		}
	})
}

func FuzzFingerprint(f *testing.F) {
	f.Add("sha-256 " + sum256)
	f.Fuzz(func(t *testing.T, value string) {
		o, err := siprec.ParseOffer([]byte("m=audio 1 UDP/TLS/RTP/SAVP 0\na=fingerprint:" + value))
		if err != nil {
			return
		}
		for _, m := range o.Media {
			for _, fp := range m.Fingerprints {
				again := mustParse(t, "m=audio 1 UDP/TLS/RTP/SAVP 0\na=fingerprint:"+fp.String())
				if len(again.Media[0].Fingerprints) != 1 || !again.Media[0].Fingerprints[0].Equal(fp) {
					t.Errorf("%v is read as %v", fp, again.Media[0].Fingerprints)
				}
			}
		}
	})
}

// RFC 3264 section 8.4: 0.0.0.0 is hold. It is not only where trickle ICE has no address yet, which port 9 says (RFC 8840).
func TestHoldByAddressWithICE(t *testing.T) {
	for _, tt := range []struct {
		port int
		ice  []string
		want siprec.Direction
	}{
		{4000, []string{"a=ice-ufrag:abcd", "a=ice-pwd:" + icePwd, "a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host"}, siprec.Inactive},
		{9, []string{"a=ice-ufrag:abcd", "a=ice-pwd:" + icePwd}, siprec.SendRecv},
		{9, []string{"a=ice-ufrag:abcd"}, siprec.Inactive}, // no password: no ICE
		{9, nil, siprec.Inactive},
	} {
		o, err := siprec.ParseOffer([]byte(lines(append([]string{fmt.Sprintf("m=audio %d RTP/AVP 0", tt.port), "c=IN IP4 0.0.0.0"}, tt.ice...)...)))
		if err != nil {
			t.Fatal(err)
		}
		if got := o.Media[0].Direction; got != tt.want {
			t.Errorf("port %d with %q is %s, want %s", tt.port, tt.ice, got, tt.want)
		}
	}
}
