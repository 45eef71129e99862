package siprec

import (
	"fmt"
	"net/netip"
	"strings"
)

// isICE tells whether an accepted m-line is answered with ICE.
func (a Answer) isICE(offer *Offer) bool {
	for i, m := range a.Media {
		if m.Port != 0 && offer.Media[i].Port != 0 && m.ICE != nil {
			return true
		}
	}
	return false
}

// checkSecurity finds keys that do not answer the offered m-line. A secure profile is never answered in clear.
func (a AnswerMedia) checkSecurity(offered *Media) error {
	if a.ICE != nil && (offered.ICE == nil || !isICE(a.ICE.Ufrag, minUfrag) || !isICE(string(a.ICE.Pwd.Reveal()), minPwd)) {
		return fmt.Errorf("ICE was not offered, or our user fragment or password is too short")
	}
	security := offered.Security()
	if security != SDES && a.Crypto != nil || security != DTLS && (a.Fingerprint != nil || a.Setup != "") {
		return fmt.Errorf("keys that %q does not ask for", offered.Protocol)
	}
	switch security {
	case Refused:
		return fmt.Errorf("accepted, but its profile %q has no usable keys", offered.Protocol)
	case SDES:
		return a.checkCrypto(offered)
	case DTLS:
		if a.Fingerprint == nil || len(a.Fingerprint.Sum) != hashSize(a.Fingerprint.Hash) || len(a.Fingerprint.Sum) == 0 {
			return fmt.Errorf("accepted without a fingerprint")
		}
		if a.Setup != offered.Setup.Answer() {
			return fmt.Errorf("setup %q does not answer %q", a.Setup, offered.Setup)
		}
	}
	return nil
}

func (a AnswerMedia) checkCrypto(offered *Media) error {
	if a.Crypto == nil || len(a.Crypto.Keys) != 1 || a.Crypto.Keys[0].MKI != nil {
		return fmt.Errorf("accepted without exactly one key of ours")
	}
	key, salt := a.Crypto.Suite.Sizes()
	if n := len(a.Crypto.Keys[0].Secret.Reveal()); n != key+salt {
		return fmt.Errorf("our key has %d bytes, %s has %d", n, a.Crypto.Suite, key+salt)
	}
	for _, c := range offered.Crypto {
		if c.Tag == a.Crypto.Tag && c.Suite == a.Crypto.Suite {
			return nil
		}
	}
	return fmt.Errorf("crypto %d %s was not offered", a.Crypto.Tag, a.Crypto.Suite)
}

// writeSecurity writes keys and candidates.
func (a AnswerMedia) writeSecurity(w *strings.Builder, addr netip.Addr, offered *Media) {
	if a.Crypto != nil {
		fmt.Fprintf(w, "a=crypto:%s\r\n", a.Crypto.line())
	}
	if a.Fingerprint != nil {
		fmt.Fprintf(w, "a=fingerprint:%s\r\na=setup:%s\r\n", a.Fingerprint, a.Setup)
	}
	if a.ICE == nil {
		return
	}
	fmt.Fprintf(w, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", a.ICE.Ufrag, a.ICE.Pwd.Reveal())
	fmt.Fprintf(w, "a=candidate:1 1 UDP %d %s %d typ host\r\n", rtpPriority, addr, a.Port)
	if !(a.RTCPMux && offered.RTCPMux) && a.Port < 65535 {
		fmt.Fprintf(w, "a=candidate:1 2 UDP %d %s %d typ host\r\n", rtcpPriority, addr, a.Port+1)
	}
}
