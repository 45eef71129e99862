package siprec

import "strings"

// An ICE is what one side says of itself for ICE (RFC 8839). Of an offer no more is of use to a lite agent; our candidates follow from
// the answer's address and port.
type ICE struct {
	Ufrag string
	Pwd   Secret
}

// Lengths of RFC 8839 section 5.4, in characters.
const (
	minUfrag = 4
	minPwd   = 22
	maxICE   = 256
)

// isICE tells that s is of ice-chars, and long enough.
func isICE(s string, least int) bool {
	return len(s) >= least && len(s) <= maxICE && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '/'
	})
}

// Priorities of our only candidates: type preference of a host, one interface (RFC 8445 section 5.1.2.1).
const (
	rtpPriority  = 126<<24 | 65535<<8 | (256 - 1)
	rtcpPriority = 126<<24 | 65535<<8 | (256 - 2)
)
