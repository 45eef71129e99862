package siprec

import (
	"fmt"
	"net/netip"
	"strings"
)

// Marshal writes the answer to offer: every m-line in the offer's order with its protocol and label, what is refused with port
// 0 (RFC 3264 section 6). Lines end in CRLF.
//
// Three things follow from the offer whatever the answer says: an m-line offered with port 0 is answered with port 0, one
// that the SRC does not send is answered inactive (section 6.1), and rtcp-mux is only said when it was offered.
//
// An m-line is accepted with the keys that its profile asks for, or not at all.
//
// The error says what contradicts the offer; it is a mistake of the caller's, never of the SRC's.
func (a Answer) Marshal(offer *Offer, origin Origin) ([]byte, error) {
	if offer == nil || len(a.Media) != len(offer.Media) {
		return nil, fmt.Errorf("write answer: it has %d m-lines, the offer has %d", len(a.Media), mediaCount(offer))
	}
	if !a.Addr.IsValid() {
		return nil, fmt.Errorf("write answer: no address")
	}
	addr := a.Addr.Unmap().WithZone("")
	family := "IP6"
	if addr.Is4() {
		family = "IP4"
	}
	var w strings.Builder
	fmt.Fprintf(&w, "v=0\r\no=- %d %d IN %s %s\r\n", origin.SessionID, origin.Version, family, addr)
	fmt.Fprintf(&w, "s=-\r\nc=IN %s %s\r\nt=0 0\r\n", family, addr)
	if a.isICE(offer) {
		w.WriteString("a=ice-lite\r\n")
	}
	for i, answer := range a.Media {
		if err := answer.write(&w, addr, &offer.Media[i]); err != nil {
			return nil, fmt.Errorf("write answer: m-line %d: %w", i+1, err)
		}
	}
	return []byte(w.String()), nil
}

func mediaCount(o *Offer) int {
	if o == nil {
		return 0
	}
	return len(o.Media)
}

func (a AnswerMedia) write(w *strings.Builder, addr netip.Addr, offered *Media) error {
	if a.Port < 0 || a.Port > 65535 {
		return fmt.Errorf("no such port: %d", a.Port)
	}
	if a.Port == 0 || offered.Port == 0 {
		// A refused m-line must still name a format (RFC 3264 section 6); any will do.
		format := "0"
		if len(offered.FormatIDs) > 0 {
			format = offered.FormatIDs[0]
		}
		fmt.Fprintf(w, "m=%s 0 %s %s\r\na=inactive\r\n", offered.Type, offered.Protocol, format)
		writeLabel(w, offered.Label)
		return nil
	}
	if err := a.check(offered); err != nil {
		return err
	}
	fmt.Fprintf(w, "m=%s %d %s", offered.Type, a.Port, offered.Protocol)
	for _, f := range a.Formats {
		fmt.Fprintf(w, " %d", f.PayloadType)
	}
	w.WriteString("\r\n")
	for _, f := range a.Formats {
		if f.Encoding != "" && f.ClockRate > 0 {
			fmt.Fprintf(w, "a=rtpmap:%s\r\n", f.rtpmap())
		}
		if f.Params != "" {
			fmt.Fprintf(w, "a=fmtp:%d %s\r\n", f.PayloadType, f.Params)
		}
	}
	direction := a.Direction
	if !offered.Direction.Sends() {
		direction = Inactive
	}
	fmt.Fprintf(w, "a=%s\r\n", direction)
	if a.RTCPMux && offered.RTCPMux {
		w.WriteString("a=rtcp-mux\r\n")
	}
	a.writeSecurity(w, addr, offered)
	writeLabel(w, offered.Label)
	return nil
}

func writeLabel(w *strings.Builder, l Label) {
	if l != "" {
		fmt.Fprintf(w, "a=label:%s\r\n", l)
	}
}

// check finds what does not answer the offered m-line.
func (a AnswerMedia) check(offered *Media) error {
	if a.Direction != RecvOnly && a.Direction != Inactive {
		return fmt.Errorf("direction %q: a recording server only receives", a.Direction)
	}
	if len(a.Formats) == 0 {
		return fmt.Errorf("accepted without a format")
	}
	if err := a.checkSecurity(offered); err != nil {
		return err
	}
	for _, f := range a.Formats {
		if !offered.offers(f.PayloadType) {
			return fmt.Errorf("payload type %d was not offered", f.PayloadType)
		}
		if !isPrintable(f.Params) || !isPrintable(f.Encoding) {
			return fmt.Errorf("payload type %d has control characters", f.PayloadType)
		}
	}
	return nil
}

func (m *Media) offers(payloadType uint8) bool {
	for _, f := range m.Formats {
		if f.PayloadType == payloadType {
			return true
		}
	}
	return false
}
