package siprec

import (
	"bytes"
	"strings"
)

// A Part is one part of a recording request's body.
type Part struct {
	Type        string // media type in lower case, without parameters; empty when the part does not tell
	Disposition string // Content-Disposition's type, in lower case; may be empty
	Content     []byte
}

// A Body is the content of a SIP request in a recording session, taken apart. When a body holds two session descriptions or
// two metadata documents, the first one counts, and the others are in Other.
type Body struct {
	SDP      []byte // nil when there is none
	Metadata []byte // nil when there is none
	Other    []Part // everything else, in order
}

// Media types of a recording request (RFC 7866 section 9.1). RFC 9806 renamed the metadata's type; both names are in use.
const (
	TypeSDP         = "application/sdp"
	TypeMetadata    = "application/rs-metadata+xml"
	typeMetadataOld = "application/rs-metadata"
)

// ParseBody takes a request's body apart: multipart/mixed in any part order, or a bare session description or
// metadata document (RFC 7866 section 9.1). An empty body gives an empty Body. contentType is the value of the request's
// Content-Type header field. Multiparts inside the multipart are opened; transfer encodings (RFC 2045 section 6) are undone.
//
// The result may share memory with b. The error is a *Refusal of kind Malformed.
func ParseBody(contentType string, b []byte) (Body, error) {
	var body Body
	if len(b) > MaxBodyBytes {
		return Body{}, tooMuch("bytes in the body", MaxBodyBytes)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return body, nil
	}
	t := parseMediaType(contentType)
	if t.isMultipart() {
		s := splitter{body: &body}
		if err := s.split(t, b, 1); err != nil {
			return Body{}, err
		}
		return body, nil
	}
	if t.name == "" && sniff(b) == "" {
		return Body{}, malformed("the body has no Content-Type")
	}
	body.add(Part{Type: t.name, Content: b})
	return body, nil
}

// add puts a part where it belongs: the first of its kind counts.
func (b *Body) add(p Part) {
	kind := p.Type
	if kind == "" {
		kind = sniff(p.Content)
	}
	switch {
	case kind == TypeSDP && b.SDP == nil:
		b.SDP = nonNil(p.Content)
	case (kind == TypeMetadata || kind == typeMetadataOld) && b.Metadata == nil:
		b.Metadata = nonNil(p.Content)
	default:
		b.Other = append(b.Other, p)
	}
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// sniff tells what content without a type is; only what cannot be mistaken.
func sniff(b []byte) string {
	b = bytes.TrimSpace(b)
	switch {
	case bytes.HasPrefix(b, []byte("v=0")):
		return TypeSDP
	case bytes.HasPrefix(b, []byte("<?xml")), bytes.HasPrefix(b, []byte("<recording")):
		return TypeMetadata
	}
	return ""
}

// A mediaType is a Content-Type or Content-Disposition value: a name and parameters, in lower case but for the values.
type mediaType struct {
	name   string
	params map[string]string
}

func (t mediaType) isMultipart() bool { return strings.HasPrefix(t.name, "multipart/") }

// parseMediaType reads name;param=value;param="value" and forgives what mime.ParseMediaType does not: parameters without
// value or twice (the first counts), stray semicolons, unquoted characters that should be quoted.
func parseMediaType(s string) mediaType {
	name, rest := cutUnquoted(s, ';')
	t := mediaType{name: strings.ToLower(strings.TrimSpace(name)), params: map[string]string{}}
	for rest != "" {
		var field string
		field, rest = cutUnquoted(rest, ';')
		key, value, _ := strings.Cut(field, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if _, twice := t.params[key]; key == "" || twice {
			continue
		}
		t.params[key] = unquote(strings.TrimSpace(value))
	}
	return t
}

// cutUnquoted cuts s at the first sep that is not inside a quoted string.
func cutUnquoted(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// unquote undoes a quoted string (RFC 3261 section 25.1); other text comes back as it is.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
