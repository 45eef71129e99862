package siprec

import (
	"strconv"
	"strings"
)

// staticFormat gives the format of a payload type that needs no rtpmap (RFC 3551 section 6), and of two that SRCs use
// although it no longer assigns them: 2 (G721, of RFC 1890) and 19 (comfort noise in early implementations).
func staticFormat(payloadType uint8) Format {
	f := Format{PayloadType: payloadType, ClockRate: 8000, Channels: 1}
	switch payloadType {
	case 0:
		f.Encoding = "PCMU"
	case 2:
		f.Encoding = "G721"
	case 3:
		f.Encoding = "GSM"
	case 4:
		f.Encoding = "G723"
	case 5:
		f.Encoding = "DVI4"
	case 6:
		f.Encoding, f.ClockRate = "DVI4", 16000
	case 7:
		f.Encoding = "LPC"
	case 8:
		f.Encoding = "PCMA"
	case 9:
		f.Encoding = "G722" // samples at 16 kHz; its RTP clock is 8 kHz by an old mistake (RFC 3551 section 4.5.2)
	case 10:
		f.Encoding, f.ClockRate, f.Channels = "L16", 44100, 2
	case 11:
		f.Encoding, f.ClockRate = "L16", 44100
	case 12:
		f.Encoding = "QCELP"
	case 13, 19:
		f.Encoding = "CN"
	case 14:
		f.Encoding, f.ClockRate = "MPA", 90000
	case 15:
		f.Encoding = "G728"
	case 16:
		f.Encoding, f.ClockRate = "DVI4", 11025
	case 17:
		f.Encoding, f.ClockRate = "DVI4", 22050
	case 18:
		f.Encoding = "G729"
	default:
		f = staticVideoFormat(payloadType)
	}
	return f
}

func staticVideoFormat(payloadType uint8) Format {
	names := map[uint8]string{25: "CELB", 26: "JPEG", 28: "NV", 31: "H261", 32: "MPV", 33: "MP2T", 34: "H263"}
	if name, ok := names[payloadType]; ok {
		return Format{PayloadType: payloadType, Encoding: name, ClockRate: 90000, Channels: 1}
	}
	return Format{PayloadType: payloadType, Channels: 1}
}

// applyRTPMap sets what "name/rate/channels" says. What it leaves out or garbles stays: "0 pcmu/8000a" has the rate 8000, and
// "8 PCMA" keeps that of the static payload type.
func (f *Format) applyRTPMap(s string) {
	parts := strings.Split(s, "/")
	words := strings.Fields(strings.ToUpper(parts[0]))
	if len(words) == 0 {
		return
	}
	name := words[0]
	if name != f.Encoding {
		*f = Format{PayloadType: f.PayloadType, Encoding: name, Channels: 1, Params: f.Params}
		if name == TelephoneEvent {
			f.ClockRate = 8000 // where the rate is left out (RFC 4733 section 7.1.1)
		}
	}
	const mostRate, mostChannels = 1_000_000, 255
	if len(parts) > 1 {
		if rate := leadingNumber(parts[1], mostRate); rate > 0 {
			f.ClockRate = rate
		}
	}
	if len(parts) > 2 {
		if channels := leadingNumber(parts[2], mostChannels); channels > 0 {
			f.Channels = channels
		}
	}
}

// leadingNumber reads the digits that s begins with; 0 when there are none or the number is over most.
func leadingNumber(s string, most int) int {
	s = strings.TrimSpace(s)
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil || n > most {
		return 0
	}
	return n
}

// rtpmap writes the value of a=rtpmap. Encoding names do not depend on case (RFC 4855 section 3), but not every SRC knows it:
// those that are registered in lower case are written so.
func (f Format) rtpmap() string {
	name := f.Encoding
	switch name {
	case TelephoneEvent, "OPUS", "TONE", "RED":
		name = strings.ToLower(name)
	case "SPEEX":
		name = "speex"
	case "ILBC":
		name = "iLBC"
	}
	s := strconv.Itoa(int(f.PayloadType)) + " " + name + "/" + strconv.Itoa(f.ClockRate)
	if f.Channels > 1 {
		s += "/" + strconv.Itoa(f.Channels)
	}
	return s
}
