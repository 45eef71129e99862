package siprec

import (
	"errors"
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

// A Format is one payload type of a media description.
type Format struct {
	PayloadType uint8
	Encoding    string // canonical upper case, "PCMU"; from rtpmap, or from RFC 3551 for static payload types
	ClockRate   int    // Hz
	Channels    int    // at least 1
	Params      string // a=fmtp, as it came
}

// A Media is one m-line of an offer.
type Media struct {
	Type      string // "audio", "video", ... in lower case
	Port      int    // 0: the stream is refused or gone
	Protocol  string // "RTP/AVP", ...
	Addr      netip.Addr
	RTCP      netip.AddrPort // a=rtcp (RFC 3605), or Port+1 at Addr
	RTCPMux   bool           // a=rtcp-mux (RFC 5761)
	Formats   []Format
	Label     Label
	Direction Direction     // Inactive also when the connection address is 0.0.0.0 (RFC 3264 section 8.4)
	PTime     time.Duration // a=ptime; 0 when not given
}

// An Offer is a session description as an SRC sent it.
type Offer struct {
	Media []Media
	Raw   []byte
}

// An AnswerMedia answers the m-line of the same index.
type AnswerMedia struct {
	Port      int       // 0 refuses the stream
	Direction Direction // RecvOnly or Inactive
	Formats   []Format  // a subset of what was offered, in the offer's order
	RTCPMux   bool
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

// ParseOffer reads a session description.
func ParseOffer(b []byte) (*Offer, error) { return nil, errors.New("not written yet") }

// Marshal writes the answer to offer: every m-line in the offer's order, labels echoed, what is refused with port 0.
func (a Answer) Marshal(offer *Offer, origin Origin) ([]byte, error) {
	return nil, errors.New("not written yet")
}
