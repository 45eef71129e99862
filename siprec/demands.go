package siprec

import (
	"fmt"
	"slices"
	"strings"
)

// An SRTPDemand says whether media may, must or must not be protected (RFC 3711).
type SRTPDemand string

const (
	SRTPAllowed   SRTPDemand = "allowed"   // as the m-line offers; "" is the same
	SRTPRequired  SRTPDemand = "required"  // clear media are refused
	SRTPForbidden SRTPDemand = "forbidden" // protected media are refused
)

// Demands are what an SRC's profile demands of its media. The zero value demands nothing.
type Demands struct {
	// Codecs are the encodings that may be chosen, as "PCMA" or "opus", in the order of preference; empty: any, in the offer's order.
	Codecs []string
	SRTP   SRTPDemand
}

// ParseDemands reads what a configuration says. A codec is an encoding name without rate (RFC 4855), in any case.
func ParseDemands(codecs []string, srtp string) (Demands, error) {
	d := Demands{SRTP: SRTPDemand(strings.ToLower(srtp))}
	switch d.SRTP {
	case "", SRTPAllowed, SRTPRequired, SRTPForbidden:
	default:
		return Demands{}, fmt.Errorf("srtp: %q; write allowed, required or forbidden", srtp)
	}
	for _, name := range codecs {
		name = strings.ToUpper(strings.TrimSpace(name))
		switch {
		case name == "" || strings.ContainsAny(name, "/ ") || !isPrintable(name):
			return Demands{}, fmt.Errorf("codecs: %q is no encoding name; write one as PCMA or opus", name)
		case isBesideSound(name):
			return Demands{}, fmt.Errorf("codecs: %s carries no sound and is always allowed; leave it out", name)
		case slices.Contains(d.Codecs, name):
			return Demands{}, fmt.Errorf("codecs: %s is there twice", name)
		}
		d.Codecs = append(d.Codecs, name)
	}
	return d, nil
}

// isBesideSound tells that an encoding accompanies sound: events, comfort noise, and redundancy of other formats.
func isBesideSound(encoding string) bool {
	return encoding == TelephoneEvent || encoding == "CN" || encoding == "RED"
}

// Accepts tells whether an m-line can be answered as demanded, and gives its formats that may be answered: sound in the order of
// preference, what accompanies it after. Without sound there are none.
func (d Demands) Accepts(m Media) (formats []Format, ok bool) {
	switch s := m.Security(); {
	case d.SRTP == SRTPRequired && s == Clear, d.SRTP == SRTPForbidden && s != Clear:
		return nil, false
	}
	if len(d.Codecs) == 0 {
		return m.Formats, true
	}
	for _, name := range d.Codecs {
		for _, f := range m.Formats {
			if f.Encoding == name {
				formats = append(formats, f)
			}
		}
	}
	if len(formats) == 0 {
		return nil, false
	}
	for _, f := range m.Formats {
		if isBesideSound(f.Encoding) {
			formats = append(formats, f)
		}
	}
	return formats, true
}

// Of gives the offer as far as it can be answered as demanded: an m-line that cannot has no formats, and so is refused. The offer
// itself is not changed; its lines, labels and ports are the same.
func (d Demands) Of(o *Offer) *Offer {
	if o == nil || len(d.Codecs) == 0 && (d.SRTP == "" || d.SRTP == SRTPAllowed) {
		return o
	}
	out := *o
	out.Media = slices.Clone(o.Media)
	for i := range out.Media {
		out.Media[i].Formats, _ = d.Accepts(o.Media[i])
	}
	return &out
}
