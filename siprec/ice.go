package siprec

import (
	"net/netip"
	"strconv"
	"strings"
)

// An ICE is what one side says of itself for ICE (RFC 8839).
type ICE struct {
	Ufrag      string
	Pwd        Secret
	Lite       bool
	Options    string      // a=ice-options, as it came
	Candidates []Candidate // of an offer; ours follow from the answer's address and port
}

// A Candidate is an address at which one side might be reached.
type Candidate struct {
	Foundation string
	Component  int    // 1: RTP, 2: RTCP
	Transport  string // "udp", or another in lower case
	Priority   uint32
	Addr       netip.AddrPort
	Type       string // "host", "srflx", "prflx", "relay", or one that is not known yet
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

// parseCandidate reads "1 1 UDP 2130706431 192.0.2.1 4000 typ host ..." (RFC 8839 section 5.1). A candidate whose address is a name
// is not usable.
func parseCandidate(value string) (Candidate, bool) {
	f := strings.Fields(value)
	if len(f) < 8 || len(value) > MaxCandidateBytes || !isICE(f[0], 1) || len(f[0]) > 32 || !strings.EqualFold(f[6], "typ") {
		return Candidate{}, false
	}
	component, err1 := strconv.ParseUint(f[1], 10, 8)
	priority, err2 := strconv.ParseUint(f[3], 10, 31)
	addr, ok := parseAddr(f[4])
	port, err3 := strconv.ParseUint(f[5], 10, 16)
	if err1 != nil || err2 != nil || err3 != nil || !ok || component == 0 || priority == 0 {
		return Candidate{}, false
	}
	return Candidate{
		Foundation: f[0], Component: int(component), Transport: strings.ToLower(f[2]), Priority: uint32(priority),
		Addr: netip.AddrPortFrom(addr, uint16(port)), Type: strings.ToLower(f[7]),
	}, true
}

// Priorities of our only candidates: type preference of a host, one interface (RFC 8445 section 5.1.2.1).
const (
	rtpPriority  = 126<<24 | 65535<<8 | (256 - 1)
	rtcpPriority = 126<<24 | 65535<<8 | (256 - 2)
)
