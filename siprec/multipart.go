package siprec

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
)

// A splitter takes multiparts apart (RFC 2046 section 5.1). It is our own because mime/multipart refuses what SRCs send:
// boundaries with trailing space, bare line feeds mixed with CRLF, no closing boundary, and header lines without a space or
// without the empty line after them.
type splitter struct {
	body  *Body
	parts int
}

func (s *splitter) split(t mediaType, b []byte, depth int) error {
	if depth > MaxMultipartDepth {
		return tooMuch("multiparts inside one another", MaxMultipartDepth)
	}
	// A boundary must not end in white space (RFC 2046 section 5.1.1), so what stands there is padding.
	boundary := strings.TrimRight(t.params["boundary"], " \t")
	parts, found := cutParts(b, boundary)
	if !found {
		// A body whose boundary is not the announced one tells it in its own first line.
		if boundary = firstBoundary(b); boundary != "" {
			parts, found = cutParts(b, boundary)
		}
	}
	if !found {
		return malformed("the multipart body does not contain its boundary %s", clip(t.params["boundary"]))
	}
	for _, raw := range parts {
		if s.parts++; s.parts > MaxParts {
			return tooMuch("parts in the multipart body", MaxParts)
		}
		if err := s.part(raw, depth); err != nil {
			return err
		}
	}
	return nil
}

// cutParts cuts b at the boundary lines; found is false when there is none. The line end before a boundary belongs to it.
// A missing closing boundary is forgiven: the last part runs to the end.
func cutParts(b []byte, boundary string) (parts [][]byte, found bool) {
	if boundary == "" {
		return nil, false
	}
	delimiter := []byte("--" + boundary)
	start := -1 // of the part being read; negative in the preamble
	for pos := 0; pos < len(b); {
		line, next := b[pos:], len(b)
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line, next = line[:i], pos+i+1
		}
		rest, isDelimiter := bytes.CutPrefix(bytes.TrimRight(line, " \t\r"), delimiter)
		closing := string(bytes.TrimLeft(rest, " \t")) == "--" // a client whose boundary ends in a space writes the space here too
		if isDelimiter && (closing || len(rest) == 0) {
			if start >= 0 {
				parts = append(parts, trimLineEnd(b[start:pos]))
			}
			found, start = true, next
			if closing {
				return parts, true
			}
			if len(parts) > MaxParts {
				return parts, true // over the limit already; the caller says so
			}
		}
		pos = next
	}
	if start >= 0 && len(bytes.TrimSpace(b[start:])) > 0 {
		parts = append(parts, b[start:])
	}
	return parts, found
}

// firstBoundary gives what stands after "--" in the first line that is not empty.
func firstBoundary(b []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimLeft(b, " \t\r\n"), []byte("\n"))
	boundary, ok := bytes.CutPrefix(bytes.TrimRight(line, " \t\r"), []byte("--"))
	if !ok {
		return ""
	}
	return string(boundary)
}

// trimLineEnd removes one line end from the end of b.
func trimLineEnd(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r"))
}

// part reads one part's header and puts its content into the body. A part's Content-Length is ignored: the boundary decides.
func (s *splitter) part(raw []byte, depth int) error {
	header, content, err := partHeader(raw)
	if err != nil {
		return err
	}
	t := parseMediaType(header["content-type"])
	known := true
	switch encoding := strings.ToLower(header["content-transfer-encoding"]); encoding {
	case "", "7bit", "8bit", "binary":
	case "base64":
		content, err = decodeBase64(content)
	case "quoted-printable":
		content, err = io.ReadAll(quotedprintable.NewReader(bytes.NewReader(content)))
	default:
		known = false // RFC 2045 section 6.4: to be treated as opaque
	}
	if err != nil {
		return &Refusal{Kind: Malformed, Err: err,
			Reason: "a body part cannot be decoded by its Content-Transfer-Encoding " + clip(header["content-transfer-encoding"])}
	}
	if e := strings.ToLower(header["content-encoding"]); e != "" && e != "identity" {
		known = false // compressed (RFC 3261 section 20.12), which we do not accept
	}
	p := Part{
		Type:        t.name,
		Disposition: parseMediaType(header["content-disposition"]).name,
		Content:     content,
	}
	switch {
	case !known:
		s.body.Other = append(s.body.Other, p)
	case t.isMultipart():
		return s.split(t, content, depth+1)
	default:
		s.body.add(p)
	}
	return nil
}

func decodeBase64(b []byte) ([]byte, error) {
	b = bytes.TrimRight(bytes.Join(bytes.Fields(b), nil), "=")
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(b)))
	n, err := base64.RawStdEncoding.Decode(out, b)
	return out[:n], err
}

// partHeader reads a part's header lines, names in lower case, and gives the content after the empty line. The first of two
// header lines with one name counts. A part whose first line is no header line has no header.
func partHeader(raw []byte) (header map[string]string, content []byte, err error) {
	header = map[string]string{}
	last := ""
	for lines := 0; len(raw) > 0; lines++ {
		if lines > MaxPartHeaders {
			return nil, nil, tooMuch("header lines in a body part", MaxPartHeaders)
		}
		line, rest, _ := bytes.Cut(raw, []byte("\n"))
		text := strings.TrimRight(string(line), " \t\r")
		if text == "" {
			return header, rest, nil
		}
		if text[0] == ' ' || text[0] == '\t' { // a folded line
			if last == "" {
				return header, raw, nil
			}
			header[last] += " " + strings.TrimSpace(text)
			raw = rest
			continue
		}
		name, value, ok := strings.Cut(text, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || !isHeaderName(name) {
			return header, raw, nil
		}
		last = name
		if _, twice := header[name]; twice {
			last = "second " + name
		}
		header[last] = strings.TrimSpace(value)
		raw = rest
	}
	return header, nil, nil
}

func isHeaderName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}
