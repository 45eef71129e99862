package siprec

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A startTag is "<name a="b">" taken apart.
type startTag struct {
	name       string
	attrs      []attribute // without namespace declarations
	namespaces map[string]string
	empty      bool // "<name/>"
	ill        bool // not quite XML
	size       int  // bytes that it takes
}

// readStartTag reads the tag that b begins with. ok is false when there is none.
func readStartTag(b []byte) (t startTag, ok bool, err error) {
	t.name = xmlName(b[1:])
	if t.name == "" {
		return t, false, nil
	}
	pos, count := 1+len(t.name), 0
	for {
		start := pos
		for pos < len(b) && isSpace(b[pos]) {
			pos++
		}
		if pos == len(b) {
			return t, false, nil
		}
		if b[pos] == '>' || b[pos] == '/' && pos+1 < len(b) && b[pos+1] == '>' {
			t.empty = b[pos] == '/'
			t.size = bytes.IndexByte(b[pos:], '>') + pos + 1
			return t, true, nil
		}
		name := xmlName(b[pos:])
		if name == "" {
			if count == 0 || b[pos] == '<' {
				return t, false, nil // "<3", "<sip:bob@example.com>"
			}
			t.ill = true // something stray between attributes
			pos++
			continue
		}
		if start == pos {
			if count == 0 {
				return t, false, nil
			}
			t.ill = true // no space between attributes
		}
		if count++; count > MaxXMLAttributes {
			return t, false, tooMuch("attributes in a metadata element", MaxXMLAttributes)
		}
		value, size, quoted := attributeValue(b[pos+len(name):])
		if size < 0 {
			return t, false, nil
		}
		pos += len(name) + size
		if err := t.add(name, value, quoted); err != nil {
			return t, false, err
		}
	}
}

// attributeValue reads '="value"' and gives the raw value; size is -1 when the value does not end. A value without quotes is
// read up to space or the tag's end, a missing one is empty; quoted is false for both.
func attributeValue(b []byte) (value []byte, size int, quoted bool) {
	pos := 0
	for pos < len(b) && isSpace(b[pos]) {
		pos++
	}
	if pos == len(b) || b[pos] != '=' {
		return nil, 0, false
	}
	for pos++; pos < len(b) && isSpace(b[pos]); pos++ {
	}
	if pos == len(b) {
		return nil, -1, false
	}
	if quote := b[pos]; quote == '"' || quote == '\'' {
		end := bytes.IndexByte(b[pos+1:], quote)
		// A closing quote beyond the next end tag belongs to another element.
		if end < 0 || bytes.Contains(b[pos+1:pos+1+end], []byte("</")) {
			return nil, -1, false
		}
		return b[pos+1 : pos+1+end], pos + end + 2, true
	}
	end := pos
	for end < len(b) && !isSpace(b[end]) && b[end] != '>' && b[end] != '<' {
		end++
	}
	return b[pos:end], end, false
}

func (t *startTag) add(name string, raw []byte, quoted bool) error {
	if len(raw) > MaxTextBytes {
		return tooMuch("bytes of text in a metadata attribute", MaxTextBytes)
	}
	value, ok := plainText(raw, true)
	if !ok || !quoted || bytes.IndexByte(raw, '<') >= 0 {
		t.ill = true
	}
	if prefix, declared := strings.CutPrefix(name, "xmlns"); declared && (prefix == "" || prefix[0] == ':') {
		if t.namespaces == nil {
			t.namespaces = map[string]string{}
		}
		t.namespaces[strings.TrimPrefix(prefix, ":")] = strings.TrimSpace(value)
		return nil
	}
	t.attrs = append(t.attrs, attribute{name, value})
	return nil
}

// xmlName gives the name that b begins with, or "".
func xmlName(b []byte) string {
	for i, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == ':', c >= utf8.RuneSelf:
		case i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '.'):
		default:
			return string(b[:i])
		}
	}
	return string(b)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// plainText resolves references, makes line ends single and leaves out characters that XML does not allow. ok is false when
// something was not as it should be: a bare '&' is kept as it is, and so is a reference to anything but the five entities.
func plainText(b []byte, references bool) (text string, ok bool) {
	ok = true
	var w strings.Builder
	w.Grow(len(b))
	for len(b) > 0 {
		if b[0] == '&' && references {
			r, size := reference(b)
			if size == 0 {
				ok, r, size = false, '&', 1
			}
			w.WriteRune(r)
			b = b[size:]
			continue
		}
		r, size := utf8.DecodeRune(b)
		b = b[size:]
		switch {
		case r == '\r':
			if len(b) == 0 || b[0] != '\n' {
				w.WriteByte('\n')
			}
		case isXMLChar(r) && (r != utf8.RuneError || size > 1):
			w.WriteRune(r)
		default:
			ok = false
		}
	}
	return w.String(), ok
}

// reference reads "&amp;" or "&#38;"; size is 0 when it is none that we know.
func reference(b []byte) (r rune, size int) {
	const longest = len("&#x0010FFFF;")
	end := bytes.IndexByte(b[:min(len(b), longest)], ';')
	if end < 0 {
		return 0, 0
	}
	switch name := string(b[1:end]); {
	case name == "amp":
		r = '&'
	case name == "lt":
		r = '<'
	case name == "gt":
		r = '>'
	case name == "quot":
		r = '"'
	case name == "apos":
		r = '\''
	case strings.HasPrefix(name, "#"):
		digits, base := name[1:], 10
		if strings.HasPrefix(digits, "x") {
			digits, base = digits[1:], 16
		}
		n, err := strconv.ParseUint(digits, base, 32)
		if err != nil || n > utf8.MaxRune || !isXMLChar(rune(n)) {
			return 0, 0
		}
		r = rune(n)
	default:
		return 0, 0
	}
	return r, end + 1
}

// isXMLChar tells whether a document may contain the character (XML 1.0 section 2.2).
func isXMLChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= 0x10ffff
}
