package media

import "encoding/binary"

// rtpHeader is what the timeline needs of an RTP packet (RFC 3550 section 5.1).
type rtpHeader struct {
	payloadType uint8
	sequence    uint16
	timestamp   uint32
	ssrc        uint32
	marker      bool
}

const (
	rtpVersion     = 2
	rtpFixedHeader = 12 // bytes
)

// parseRTP takes a datagram apart; payload is a part of b. It returns false for what is not RTP version 2 and for lengths that
// overrun the datagram: CSRC list, header extension (section 5.3.1) and padding.
func parseRTP(b []byte) (h rtpHeader, payload []byte, ok bool) {
	if len(b) < rtpFixedHeader || b[0]>>6 != rtpVersion {
		return rtpHeader{}, nil, false
	}
	offset := rtpFixedHeader + 4*int(b[0]&0x0F)
	if b[0]&0x10 != 0 {
		if len(b) < offset+4 {
			return rtpHeader{}, nil, false
		}
		offset += 4 + 4*int(binary.BigEndian.Uint16(b[offset+2:]))
	}
	end := len(b)
	if b[0]&0x20 != 0 {
		// The last byte counts the padding, itself included; 0 contradicts that.
		padding := int(b[end-1])
		if padding == 0 {
			return rtpHeader{}, nil, false
		}
		end -= padding
	}
	if offset > end {
		return rtpHeader{}, nil, false
	}
	return rtpHeader{
		payloadType: b[1] & 0x7F,
		sequence:    binary.BigEndian.Uint16(b[2:]),
		timestamp:   binary.BigEndian.Uint32(b[4:]),
		ssrc:        binary.BigEndian.Uint32(b[8:]),
		marker:      b[1]&0x80 != 0,
	}, b[offset:end], true
}
