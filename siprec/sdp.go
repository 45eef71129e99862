package siprec

import (
	"net/netip"
	"time"
)

// A Label names a media stream in the session description (RFC 4574); metadata refer to streams by it.
type Label string

// A Direction is the direction attribute of a media description (RFC 8866 section 6.7), seen by whoever wrote it.
type Direction string

const (
	SendRecv Direction = "sendrecv"
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	Inactive Direction = "inactive"
)

// Sends tells whether whoever wrote the direction sends media.
func (d Direction) Sends() bool { return d == SendRecv || d == SendOnly }

// A Format is one payload type of a media description.
type Format struct {
	PayloadType uint8  // 0 to 127
	Encoding    string // canonical upper case, "PCMU"; from rtpmap, or from RFC 3551 for static payload types; "" when unknown
	ClockRate   int    // Hz; 0 when unknown
	Channels    int    // at least 1
	Params      string // a=fmtp, as it came
}

// TelephoneEvent is the Encoding of DTMF digits and other events (RFC 4733).
const TelephoneEvent = "TELEPHONE-EVENT"

// A Media is one m-line of an offer.
type Media struct {
	Type      string // "audio", "video", ... in lower case
	Port      int    // 0: the stream is refused or gone
	Protocol  string // "RTP/AVP", ...
	Addr      netip.Addr
	Host      string         // the connection address when it is a name and not an address: Addr is then the zero value
	RTCP      netip.AddrPort // a=rtcp (RFC 3605), or Port+1 at Addr; zero when the address is not known
	RTCPMux   bool           // a=rtcp-mux (RFC 5761)
	Formats   []Format       // what can be RTP payload types, in the order of preference
	FormatIDs []string       // the m-line's formats as they came, those that are no payload types included
	Label     Label
	Record    string        // a=record in lower case (RFC 7866 section 7.1.1): "on", "off" or "paused"; "" when not given
	Content   []string      // a=content in lower case (RFC 4796 section 5): "main", "sl" ...; RFC 7865 section 6.7.1 takes it from here
	Direction Direction     // Inactive also when the connection address is 0.0.0.0 (RFC 3264 section 8.4), but not with ICE
	PTime     time.Duration // a=ptime; 0 when not given

	// How the media are protected; Security says what follows from it.
	Crypto       []Crypto      // usable a=crypto lines, in the order of preference
	Fingerprints []Fingerprint // usable a=fingerprint lines, the session's when the m-line has none
	Setup        Setup         // "" when not given
	ICE          *ICE          // nil when not, or not properly, offered
}

// An Offer is a session description as an SRC sent it.
type Offer struct {
	Media []Media
	// Version is the o= line's sess-version, for the curious. SRCs change descriptions without changing it: never skip
	// an offer because its version is the one before.
	Version string
}

// An AnswerMedia answers the m-line of the same index.
type AnswerMedia struct {
	Port      int       // 0 refuses the stream
	Direction Direction // RecvOnly or Inactive
	Formats   []Format  // a subset of what was offered, in the offer's order
	RTCPMux   bool

	// Exactly what the m-line's Security asks for: Crypto for SDES, Fingerprint and Setup for DTLS, none of them for Clear.
	Crypto      *Crypto // the offer's tag and suite, and one key of ours without MKI
	Fingerprint *Fingerprint
	Setup       Setup
	// ICE is our side's, lite, when the offer has ICE. Our host candidates are the answer's address and ports.
	ICE *ICE
}

// An Answer is what we say to an offer: one AnswerMedia for each of its m-lines.
type Answer struct {
	Addr  netip.Addr
	Media []AnswerMedia
}

// An Origin is the o= line of our side of a session description: Version grows by one with every new answer that
// differs (RFC 3264 section 8).
type Origin struct {
	SessionID uint64
	Version   uint64
}
