package siprectest

import (
	"bytes"
	"strings"

	"github.com/greffier/greffier/siprec"
)

// Body says how the body of an INVITE or re-INVITE is put together. The zero value is the form of RFC 7866 section 9.
type Body struct {
	MetadataFirst bool          // metadata before the session description
	MetadataType  string        // default "application/rs-metadata+xml"; RFC 7866 registered "application/rs-metadata"
	NoDisposition bool          // leave "Content-Disposition: recording-session" out
	Boundary      string        // default: one that is unlikely to be in a part
	LF            bool          // lines of the multipart end in LF only
	ExtraParts    []siprec.Part // put between the two
	Preamble      string        // text before the first delimiter

	// Raw and ContentType, when ContentType is set, are the whole body instead.
	Raw         []byte
	ContentType string
}

const (
	sdpType             = "application/sdp"
	defaultMetadataType = "application/rs-metadata+xml"
	defaultBoundary     = "greffier-src-boundary"
)

// build gives the body of a request that carries a session description, metadata, or both.
func (o Body) build(sdp, metadata []byte) content {
	if o.ContentType != "" {
		return content{o.ContentType, o.Raw}
	}
	metadataType := o.MetadataType
	if metadataType == "" {
		metadataType = defaultMetadataType
	}
	switch {
	case len(o.ExtraParts) > 0 || (sdp != nil && metadata != nil):
	case sdp != nil:
		return content{sdpType, sdp}
	case metadata != nil:
		return content{metadataType, metadata}
	default:
		return content{}
	}
	var parts []siprec.Part
	if sdp != nil {
		parts = append(parts, siprec.Part{Type: sdpType, Content: sdp})
	}
	parts = append(parts, o.ExtraParts...)
	if metadata != nil {
		p := siprec.Part{Type: metadataType, Disposition: "recording-session", Content: metadata}
		if o.NoDisposition {
			p.Disposition = ""
		}
		if o.MetadataFirst {
			parts = append([]siprec.Part{p}, parts...)
		} else {
			parts = append(parts, p)
		}
	}
	return o.multipart(parts)
}

func (o Body) multipart(parts []siprec.Part) content {
	boundary := o.Boundary
	if boundary == "" {
		boundary = defaultBoundary
	}
	eol := "\r\n"
	if o.LF {
		eol = "\n"
	}
	var b bytes.Buffer
	if o.Preamble != "" {
		b.WriteString(o.Preamble + eol)
	}
	for _, p := range parts {
		b.WriteString("--" + boundary + eol + "Content-Type: " + p.Type + eol)
		if p.Disposition != "" {
			b.WriteString("Content-Disposition: " + p.Disposition + eol)
		}
		b.WriteString(eol)
		b.Write(p.Content)
		b.WriteString(eol) // belongs to the delimiter that follows (RFC 2046 section 5.1.1)
	}
	b.WriteString("--" + boundary + "--" + eol)
	return content{"multipart/mixed;boundary=" + quoteBoundary(boundary), b.Bytes()}
}

// quoteBoundary puts quotes around a boundary that is not a token.
func quoteBoundary(s string) string {
	if strings.ContainsAny(s, " ()<>@,;:\\\"/[]?=") {
		return `"` + s + `"`
	}
	return s
}
