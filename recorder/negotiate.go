package recorder

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/siprec"
)

// discardPort is what an m-line says that is accepted but carries no media (RFC 863).
const discardPort = 9

// Encodings that we accept beside audio, since a relay may refuse an answer that leaves one of its payload types out.
const (
	telephoneEvent = siprec.TelephoneEvent // RFC 4733; its packets carry no sound, and keys only
	comfortNoise   = "CN"                  // RFC 3389; the same
	redundancy     = "RED"                 // RFC 2198; it carries packets of the other formats
)

// usable says what of an m-line we can record: the formats to answer, and those that are decoded. No decodable format
// means that the m-line is refused: never accept a codec and store noise. So does a secure profile without usable keys.
func usable(known codec.Set, m siprec.Media) (answer []siprec.Format, decode []media.Format) {
	if m.Type != "audio" || m.Port == 0 || m.Security() == siprec.Refused {
		return nil, nil
	}
	sound := false
	for _, f := range m.Formats {
		if len(decode) == media.MaxFormats {
			break
		}
		switch f.Encoding {
		case telephoneEvent, comfortNoise:
			answer = append(answer, f)
			continue
		case redundancy:
			if f.ClockRate <= 0 {
				continue // its blocks could not be placed
			}
			answer = append(answer, f)
			decode = append(decode, media.Redundancy(f.PayloadType, f.ClockRate))
			continue
		}
		if c, ok := known.Lookup(codec.Format{Name: f.Encoding, ClockRate: f.ClockRate, Channels: f.Channels, Params: f.Params}); ok {
			sound = true
			answer = append(answer, f)
			decode = append(decode, media.Format{PayloadType: f.PayloadType, Codec: c, Params: f.Params, Channels: f.Channels})
		}
	}
	if !sound {
		return nil, nil
	}
	return answer, decode
}

// offeredLabels lists the labels of the m-lines that can be recorded, in the order of the offer.
func offeredLabels(known codec.Set, o *siprec.Offer) []siprec.Label {
	var out []siprec.Label
	for i, label := range labelsOf(o) {
		if a, _ := usable(known, o.Media[i]); a != nil {
			out = append(out, label)
		}
	}
	return out
}

// labelsOf gives each m-line a label of its own. One that has none, or that of an earlier line, has its position instead,
// which RFC 3264 keeps stable.
func labelsOf(o *siprec.Offer) []siprec.Label {
	out := make([]siprec.Label, len(o.Media))
	for i, m := range o.Media {
		out[i] = m.Label
		if m.Label == "" || slices.Contains(out[:i], m.Label) {
			out[i] = siprec.Label(fmt.Sprintf("m-line %d", i+1))
		}
	}
	return out
}

// stream is the receiving end of one m-line.
func stream(known codec.Set, m siprec.Media, channel int, anySource bool) media.Stream {
	answer, decode := usable(known, m)
	s := media.Stream{
		Channel:   channel,
		AnySource: anySource,
		RTCPMux:   m.RTCPMux,
		RTCP:      m.RTCP,
		Formats:   decode,
		Active:    m.Port != 0 && m.Direction.Sends() && decode != nil,
	}
	for _, f := range answer {
		if f.Encoding == telephoneEvent {
			s.Events = append(s.Events, f.PayloadType)
		}
	}
	if m.Addr.IsValid() && !m.Addr.IsUnspecified() {
		s.Addrs = []netip.Addr{m.Addr}
		if m.RTCPMux { // we agree to it, so that the other port is unused (RFC 5761 section 5.1.1)
			s.RTCP = netip.AddrPortFrom(m.Addr, uint16(m.Port))
		}
	}
	return s
}
