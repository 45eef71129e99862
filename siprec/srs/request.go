package srs

import (
	"fmt"
	"net/textproto"
	"strings"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

// fieldValues gives the values of a header field, by any of its names in lower case, split at commas outside quotes and
// angle brackets.
func fieldValues(m sip.Message, names ...string) []string {
	var out []string
	for _, name := range names {
		for _, h := range m.GetHeaders(name) {
			out = append(out, splitList(h.Value())...)
		}
	}
	return out
}

func splitList(s string) []string {
	var out []string
	start, quoted, bracket := 0, false, false
	add := func(end int) {
		if v := strings.TrimSpace(s[start:end]); v != "" {
			out = append(out, v)
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			bracket = true
		case c == '>':
			bracket = false
		case c == ',' && !bracket:
			add(i)
			start = i + 1
		}
	}
	add(len(s))
	return out
}

// hasToken tells whether a list-valued header field contains an option tag.
func hasToken(m sip.Message, token string, names ...string) bool {
	for _, v := range fieldValues(m, names...) {
		if strings.EqualFold(v, token) {
			return true
		}
	}
	return false
}

// saysSRC tells whether the Contact says that the client is one that records (RFC 7866 section 6.1.1). Some leave it out, and some put
// it inside the brackets.
func saysSRC(req *sip.Request) bool {
	c := req.Contact()
	return c != nil && (c.Params.Has("+sip.src") || c.Address.UriParams.Has("+sip.src"))
}

// isInDialog tells whether a request says that it belongs to a dialog: its To has a tag (RFC 3261 section 12.2.2).
func isInDialog(req *sip.Request) bool {
	to := req.To()
	return to != nil && to.Params.Has("tag")
}

// asksForSIPS tells whether our Contact must be a SIPS URI (RFC 3261 section 12.1.1).
func asksForSIPS(req *sip.Request) bool {
	if strings.EqualFold(req.Recipient.Scheme, "sips") {
		return true
	}
	if routes := req.GetHeaders("record-route"); len(routes) > 0 {
		r, ok := routes[0].(*sip.RecordRouteHeader)
		return ok && strings.EqualFold(r.Address.Scheme, "sips")
	}
	c := req.Contact()
	return c != nil && strings.EqualFold(c.Address.Scheme, "sips")
}

// dialogID is the identifier of the dialog that a request from the client belongs to.
func dialogID(req *sip.Request) siprec.DialogID {
	var id siprec.DialogID
	if h := req.CallID(); h != nil {
		id.CallID = h.Value()
	}
	if h := req.To(); h != nil {
		id.LocalTag, _ = h.Params.Get("tag")
	}
	if h := req.From(); h != nil {
		id.RemoteTag, _ = h.Params.Get("tag")
	}
	return id
}

// validate checks what sipgo's parser does not: that the fields which every request must have are there, once, and can be
// read (RFC 3261 section 8.1.1). The parser leaves a field that it cannot read as plain text, which counts as missing.
func validate(req *sip.Request) *failure {
	if req.SipVersion != "SIP/2.0" {
		return &failure{status: 505, kind: siprec.Malformed, reason: "only SIP/2.0 is spoken here"}
	}
	for _, f := range []struct {
		name  string
		short string
		read  bool
	}{
		{"from", "f", req.From() != nil},
		{"to", "t", req.To() != nil},
		{"call-id", "i", req.CallID() != nil},
		{"cseq", "", req.CSeq() != nil},
	} {
		switch n := countFields(req, f.name, f.short); {
		case n == 0:
			return malformed("%s is missing", textproto.CanonicalMIMEHeaderKey(f.name))
		case n > 1:
			return malformed("%s is there more than once", textproto.CanonicalMIMEHeaderKey(f.name))
		case !f.read:
			return malformed("%s cannot be read", textproto.CanonicalMIMEHeaderKey(f.name))
		}
	}
	for _, f := range [][2]string{{"content-length", "l"}, {"max-forwards", ""}, {"content-type", "c"}} {
		if countFields(req, f[0], f[1]) > 1 {
			return malformed("%s is there more than once", textproto.CanonicalMIMEHeaderKey(f[0]))
		}
	}
	return validateValues(req)
}

func validateValues(req *sip.Request) *failure {
	if tag, _ := req.From().Params.Get("tag"); tag == "" || len(tag) > maxIdentifier {
		return malformed("From has no usable tag")
	}
	if s := req.Recipient.Scheme; !isInDialog(req) && s != "sip" && s != "sips" && s != "tel" {
		return &failure{status: 416, kind: siprec.Malformed, reason: "the Request-URI's scheme is not sip, sips or tel"}
	}
	if via := req.Via(); via != nil {
		if branch, _ := via.Params.Get("branch"); branch == sip.RFC3261BranchMagicCookie { // every such request would be the same one
			return malformed("Via has no usable branch")
		}
	}
	if len(req.CallID().Value()) > maxIdentifier {
		return malformed("Call-ID is longer than %d bytes", maxIdentifier)
	}
	if !strings.EqualFold(string(req.CSeq().MethodName), string(req.Method)) {
		return malformed("CSeq names another method")
	}
	if countFields(req, "max-forwards", "") > 0 {
		if mf := req.MaxForwards(); mf == nil || mf.Val() > 255 {
			return malformed("Max-Forwards is not a number from 0 to 255")
		}
	}
	if countFields(req, "content-length", "l") > 0 && req.ContentLength() == nil {
		return malformed("Content-Length is not a number")
	}
	if len(req.Body()) > maxBody {
		return &failure{status: 413, kind: siprec.Malformed, reason: fmt.Sprintf("the body is longer than %d bytes", maxBody)}
	}
	return nil
}

// validateInvite checks what a request that opens a dialog must have besides (RFC 3261 sections 8.1.1.8 and 8.2.2.1).
func validateInvite(req *sip.Request) *failure {
	switch n := countFields(req, "contact", "m"); {
	case n == 0:
		return malformed("Contact is missing")
	case n > 1:
		return malformed("Contact is there more than once")
	}
	if c := req.Contact(); c == nil || c.Address.Wildcard || c.Address.Host == "" {
		return malformed("Contact cannot be read")
	}
	routes := req.GetHeaders("record-route")
	if len(routes) > maxRoutes {
		return malformed("there are more than %d Record-Route values", maxRoutes)
	}
	for _, r := range routes {
		if _, ok := r.(*sip.RecordRouteHeader); !ok {
			return malformed("Record-Route cannot be read")
		}
	}
	return nil
}

// validateExtensions checks Require (RFC 3261 section 8.2.2.3) and Content-Encoding. 100rel is met by never sending a provisional
// answer but 100 (RFC 3262 section 3).
func validateExtensions(req *sip.Request) *failure {
	var unsupported []string
	for _, tag := range fieldValues(req, "require") {
		switch strings.ToLower(tag) {
		case "siprec", "timer", "100rel":
		default:
			unsupported = append(unsupported, tag)
		}
	}
	if len(unsupported) > 0 {
		return &failure{
			status: 420, kind: siprec.Unsupported, reason: "a required extension is not supported",
			headers: []sip.Header{sip.NewHeader("Unsupported", strings.Join(unsupported, ", "))},
		}
	}
	for _, enc := range fieldValues(req, "content-encoding", "e") {
		if !strings.EqualFold(enc, "identity") && len(req.Body()) > 0 {
			return &failure{
				status: 415, kind: siprec.Malformed, reason: "the body is encoded",
				headers: []sip.Header{sip.NewHeader("Accept-Encoding", "identity")},
			}
		}
	}
	return nil
}

func countFields(req *sip.Request, names ...string) int {
	n := 0
	for _, name := range names {
		if name != "" {
			n += len(req.GetHeaders(name))
		}
	}
	return n
}

// keptHeaders picks the header fields that a source's profile asks for, by canonical name; several values are joined.
func keptHeaders(req *sip.Request, names []string) map[string]string {
	if len(names) == 0 {
		return nil
	}
	kept := map[string]string{}
	for _, name := range names {
		var values []string
		for _, h := range req.GetHeaders(strings.ToLower(name)) {
			values = append(values, h.Value())
		}
		if len(values) > 0 {
			v := strings.Join(values, ", ")
			kept[textproto.CanonicalMIMEHeaderKey(name)] = v[:min(len(v), maxHeaderValue)]
		}
	}
	return kept
}
