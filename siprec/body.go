package siprec

import "errors"

// A Part is one part of a recording request's body.
type Part struct {
	Type        string // media type in lower case, without parameters
	Disposition string // Content-Disposition's type, in lower case; may be empty
	Content     []byte
}

// A Body is the content of a SIP request in a recording session, taken apart.
type Body struct {
	SDP      []byte // nil when there is none
	Metadata []byte // nil when there is none
	Other    []Part // everything else, in order
}

// ParseBody takes a request's body apart: multipart/mixed in any part order, or a bare session description or
// metadata document (RFC 7866 section 9.1). An empty body gives an empty Body.
func ParseBody(contentType string, b []byte) (Body, error) {
	return Body{}, errors.New("not written yet")
}
