package siprec

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// toUTF8 gives a document's text in UTF-8. It knows UTF-8, UTF-16 with a byte order mark, and ISO 8859-1. Bytes that are not
// UTF-8 although the document says so are taken as ISO 8859-1, as SRCs that copy header fields mean them; ok is then false.
func toUTF8(b []byte) (text []byte, ok bool) {
	if text, isUTF16 := fromUTF16(b); isUTF16 {
		return text, true
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	switch declaredEncoding(b) {
	case "iso-8859-1", "iso8859-1", "latin1", "latin-1", "windows-1252":
		return latin1(b, 1), true
	}
	if utf8.Valid(b) {
		return b, true
	}
	return latin1(b, utf8.UTFMax), false
}

// latin1 reads each byte of b that does not begin a character of up to most bytes in UTF-8 as one character of ISO 8859-1.
func latin1(b []byte, most int) []byte {
	out := make([]byte, 0, len(b)+len(b)/4)
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if size > most || r == utf8.RuneError && size == 1 {
			r, size = rune(b[0]), 1
		}
		out = utf8.AppendRune(out, r)
		b = b[size:]
	}
	return out
}

func fromUTF16(b []byte) ([]byte, bool) {
	if len(b) < 2 {
		return nil, false
	}
	var high, low int // where the high and low byte of each unit are
	switch {
	case b[0] == 0xfe && b[1] == 0xff:
		high, low = 0, 1
	case b[0] == 0xff && b[1] == 0xfe:
		high, low = 1, 0
	default:
		return nil, false
	}
	var units []uint16
	for b = b[2:]; len(b) >= 2; b = b[2:] {
		units = append(units, uint16(b[high])<<8|uint16(b[low]))
	}
	return []byte(string(utf16.Decode(units))), true
}

// declaredEncoding gives the encoding of the XML declaration in lower case, or "".
func declaredEncoding(b []byte) string {
	b = bytes.TrimLeft(b, " \t\r\n")
	if !bytes.HasPrefix(b, []byte("<?xml")) {
		return ""
	}
	declaration, _, _ := bytes.Cut(b, []byte("?>"))
	_, value, found := strings.Cut(string(declaration), "encoding")
	value = strings.TrimLeft(value, " \t\r\n=")
	if !found || len(value) < 2 {
		return ""
	}
	value, _, _ = strings.Cut(value[1:], value[:1])
	return strings.ToLower(value)
}
