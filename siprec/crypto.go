package siprec

import (
	"encoding/base64"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// A Suite is an SRTP crypto suite by its name in a=crypto.
type Suite string

// The suites that we take (RFC 4568 section 6.2, RFC 6188, RFC 7714).
const (
	AESCM128SHA80 Suite = "AES_CM_128_HMAC_SHA1_80"
	AESCM128SHA32 Suite = "AES_CM_128_HMAC_SHA1_32"
	AESCM256SHA80 Suite = "AES_256_CM_HMAC_SHA1_80"
	AESCM256SHA32 Suite = "AES_256_CM_HMAC_SHA1_32"
	AESGCM128     Suite = "AEAD_AES_128_GCM"
	AESGCM256     Suite = "AEAD_AES_256_GCM"
)

// Suites lists the suites that we take, in no order of preference: the offer's order counts.
func Suites() []Suite {
	return []Suite{AESCM128SHA80, AESCM128SHA32, AESCM256SHA80, AESCM256SHA32, AESGCM128, AESGCM256}
}

// Sizes gives the bytes of the suite's master key and master salt; 0 and 0 for a suite that we do not take.
func (s Suite) Sizes() (key, salt int) {
	switch s {
	case AESCM128SHA80, AESCM128SHA32:
		return 16, 14
	case AESCM256SHA80, AESCM256SHA32:
		return 32, 14
	case AESGCM128:
		return 16, 12
	case AESGCM256:
		return 32, 12
	}
	return 0, 0
}

// A Crypto is one a=crypto line (RFC 4568) that we can use.
type Crypto struct {
	Tag   int // 1 to 999999999; the answer repeats it
	Suite Suite
	Keys  []CryptoKey // of whoever wrote the line; more than one only when each has an MKI
}

// A CryptoKey is one "inline:" parameter.
type CryptoKey struct {
	Secret Secret // master key, then master salt, of the suite's sizes
	MKI    []byte // master key identifier as it stands in packets; nil: there is none
}

// SameKeys tells whether what one line protects the other opens: tags only number the lines of an offer.
func (c Crypto) SameKeys(o Crypto) bool {
	return c.Suite == o.Suite && slices.EqualFunc(c.Keys, o.Keys, func(a, b CryptoKey) bool {
		return a.Secret.Equal(b.Secret) && string(a.MKI) == string(b.MKI)
	})
}

// parseCrypto reads the value of an a=crypto attribute; false when the line is not usable: it is broken, of a suite that we lack,
// or asks for something that we do not do. Above all that is to send in clear: UNENCRYPTED_SRTP, UNENCRYPTED_SRTCP and
// UNAUTHENTICATED_SRTP. Such a line is passed over, as RFC 4568 section 7.1.2 says, and the offer's next one is tried.
func parseCrypto(value string) (Crypto, bool) {
	f := strings.Fields(value)
	if len(f) < 3 || len(value) > MaxCryptoBytes {
		return Crypto{}, false
	}
	tag, err := strconv.ParseUint(f[0], 10, 32)
	if err != nil || tag == 0 || len(f[0]) > 9 {
		return Crypto{}, false
	}
	c := Crypto{Tag: int(tag), Suite: Suite(strings.ToUpper(f[1]))}
	if key, _ := c.Suite.Sizes(); key == 0 {
		return Crypto{}, false
	}
	for _, parameter := range f[3:] {
		if !ignorable(parameter) {
			return Crypto{}, false
		}
	}
	for _, text := range strings.Split(f[2], ";") {
		key, ok := parseKey(text, c.Suite)
		if !ok || len(c.Keys) == MaxCryptoKeys {
			return Crypto{}, false
		}
		c.Keys = append(c.Keys, key)
	}
	return c, c.identified()
}

// identified checks that several keys can be told apart: MKIs of one length, each its own (RFC 4568 section 6.1).
func (c Crypto) identified() bool {
	for i, k := range c.Keys {
		if len(c.Keys) > 1 && k.MKI == nil || len(k.MKI) != len(c.Keys[0].MKI) {
			return false
		}
		for _, o := range c.Keys[:i] {
			if string(o.MKI) == string(k.MKI) {
				return false
			}
		}
	}
	return true
}

// ignorable tells of a session parameter that changes nothing for a receiver like us: a window hint, no key derivation, and the
// optional ones (RFC 4568 section 6.3).
func ignorable(parameter string) bool {
	upper := strings.ToUpper(parameter)
	return strings.HasPrefix(upper, "-") || strings.HasPrefix(upper, "WSH=") || upper == "KDR=0"
}

// parseKey reads "inline:" base64 ["|" lifetime] ["|" MKI ":" length].
func parseKey(text string, suite Suite) (CryptoKey, bool) {
	const method = "inline:"
	if len(text) < len(method) || !strings.EqualFold(text[:len(method)], method) {
		return CryptoKey{}, false
	}
	parts := strings.Split(text[len(method):], "|")
	// Some senders leave the padding out.
	b, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(parts[0], "="))
	key, salt := suite.Sizes()
	if err != nil || len(b) != key+salt || len(parts) > 3 {
		return CryptoKey{}, false
	}
	k := CryptoKey{Secret: NewSecret(b)}
	ok := true
	for i, p := range parts[1:] {
		id, size, isMKI := strings.Cut(p, ":")
		switch {
		case isMKI && k.MKI == nil:
			k.MKI, ok = parseMKI(id, size)
		case !isMKI && i == 0:
			ok = isLifetime(p)
		default:
			ok = false
		}
		if !ok {
			return CryptoKey{}, false
		}
	}
	return k, true
}

// isLifetime tells of "2^20" or "1048576". How long a key lasts is the sender's business.
func isLifetime(text string) bool {
	if exponent, power := strings.CutPrefix(text, "2^"); power {
		n, err := strconv.ParseUint(exponent, 10, 8)
		return err == nil && n <= maxLifetimeBits
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return err == nil && n > 0 && n <= 1<<maxLifetimeBits
}

// maxLifetimeBits: no SRTP key lasts for more packets than 2^48 (RFC 3711 section 9.2).
const maxLifetimeBits = 48

// parseMKI turns a decimal number and a length in bytes into the identifier.
func parseMKI(id, size string) ([]byte, bool) {
	n, err := strconv.ParseUint(size, 10, 8)
	if err != nil || n == 0 || n > MaxMKIBytes || len(id) > MaxMKIDigits {
		return nil, false
	}
	v, ok := new(big.Int).SetString(id, 10)
	if !ok || v.Sign() < 0 || v.BitLen() > int(n)*8 {
		return nil, false
	}
	return v.FillBytes(make([]byte, n)), true
}

// line writes the value of an a=crypto attribute with one key without lifetime and MKI.
func (c Crypto) line() string {
	return strconv.Itoa(c.Tag) + " " + string(c.Suite) + " inline:" + base64.StdEncoding.EncodeToString(c.Keys[0].Secret.Reveal())
}
