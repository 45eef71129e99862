package srs

import (
	"cmp"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

// A Digest is what a client must know to be served (RFC 3261 section 22, RFC 8760). The zero value asks for nothing.
type Digest struct {
	User     string
	Password siprec.Secret

	// Algorithms that are offered and taken, the one we want first; empty: SHA-256 and MD5. There are clients that read the first
	// challenge only and know nothing but MD5: for those, MD5 alone.
	Algorithms []string
}

func (d Digest) asked() bool { return d.User != "" }

// check says what is wrong with the settings.
func (d Digest) check() error {
	if d.asked() && len(d.Password.Reveal()) == 0 {
		return errors.New("a digest user and no password: set digest_password_file")
	}
	for _, name := range d.Algorithms {
		if _, ok := algorithmNamed(name); !ok {
			return fmt.Errorf("digest algorithm %q, which is not known: write SHA-256 or MD5", name)
		}
	}
	return nil
}

// offers are the algorithms that are offered.
func (d Digest) offers() []algorithm {
	if len(d.Algorithms) == 0 {
		return algorithms[:]
	}
	var out []algorithm
	for _, name := range d.Algorithms {
		if a, ok := algorithmNamed(name); ok {
			out = append(out, a)
		}
	}
	return out
}

// defaultRealm is used when Config.Realm is empty.
const defaultRealm = "greffier"

// An algorithm is a hash function of digest authentication.
type algorithm struct {
	name string
	new  func() hash.Hash
}

// algorithms are those that we know, the one we want first (RFC 8760 section 2.3). MD5 is what most SBCs have.
var algorithms = [...]algorithm{{"SHA-256", sha256.New}, {"MD5", md5.New}}

func algorithmNamed(name string) (algorithm, bool) {
	for _, a := range algorithms {
		if strings.EqualFold(a.name, name) {
			return a, true
		}
	}
	return algorithm{}, false
}

func (a algorithm) of(parts ...string) string {
	h := a.new()
	_, _ = h.Write([]byte(strings.Join(parts, ":"))) // of a hash: cannot fail
	return hex.EncodeToString(h.Sum(nil))
}

// credentials are a client's answer to a challenge.
type credentials struct {
	username, realm, nonce, uri, response, algorithm, cnonce, qop, nc string
}

// parseCredentials reads an Authorization header field; false for what is not digest, or cannot be read.
func parseCredentials(value string) (credentials, bool) {
	var c credentials
	scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	if !strings.EqualFold(scheme, "Digest") || len(value) > maxHeaderValue {
		return c, false
	}
	fields := map[string]*string{
		"username": &c.username, "realm": &c.realm, "nonce": &c.nonce, "uri": &c.uri, "response": &c.response,
		"algorithm": &c.algorithm, "cnonce": &c.cnonce, "qop": &c.qop, "nc": &c.nc,
	}
	for _, item := range splitList(rest) {
		name, v, ok := strings.Cut(item, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		field, known := fields[name]
		if !known {
			continue
		}
		if !ok || field == nil {
			return c, false // without a value, or twice
		}
		if *field, ok = unquote(strings.TrimSpace(v)); !ok {
			return c, false
		}
		fields[name] = nil
	}
	return c, true
}

// unquote reads a token or a quoted-string.
func unquote(s string) (string, bool) {
	if !strings.HasPrefix(s, `"`) {
		return s, !strings.ContainsAny(s, "\" \t")
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i == len(s)-1
		case '\\':
			if i++; i == len(s) {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}

// prove tells whether the response is that of somebody who knows the password. The digest URI is not compared with the
// Request-URI: proxies and SBCs write another there, and all of ours mean the same. The method is part of the response.
func (d Digest) prove(c credentials, method, realm string) bool {
	name := cmp.Or(c.algorithm, "MD5") // RFC 7616 section 3.4
	offers := d.offers()
	i := slices.IndexFunc(offers, func(a algorithm) bool { return strings.EqualFold(a.name, name) })
	if i < 0 || !strings.EqualFold(c.qop, "auth") {
		return false
	}
	a := offers[i]
	want := a.of(
		a.of(d.User, realm, string(d.Password.Reveal())),
		c.nonce, c.nc, c.cnonce, c.qop,
		a.of(method, c.uri),
	)
	right := subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToLower(c.response)))
	return right&subtle.ConstantTimeCompare([]byte(d.User), []byte(c.username)) == 1
}

// authenticate tells why a request is not served before the client has proven that it knows its password, or nil. Every
// request is asked for it (RFC 3261 section 22.1) but ACK and CANCEL, which cannot be sent again, and those within dialogs on a
// TLS connection that has proven it: who holds that is the same. Over UDP and TCP an address is all that a BYE would have.
func (s *Server) authenticate(in *inbound) *failure {
	d := in.src.Digest
	if !d.asked() || in.req.IsAck() || in.req.IsCancel() {
		return nil
	}
	conn := s.tlsConn(in)
	if conn != nil && conn.proven.Load() && isInDialog(in.req) {
		return nil
	}
	sent, stale := false, false
	for _, h := range in.req.GetHeaders("authorization") {
		c, ok := parseCredentials(h.Value())
		if !ok || c.realm != s.cfg.Realm {
			continue
		}
		sent = true
		if !d.prove(c, string(in.req.Method), s.cfg.Realm) {
			continue
		}
		count, err := strconv.ParseUint(c.nc, 16, 32)
		if err == nil && s.nonces.spend(c.nonce, in.src.Name, uint32(count), in.at) {
			if conn != nil {
				conn.proven.Store(true)
			}
			return nil
		}
		stale = true
	}
	f := s.challenge(in.src, stale, in)
	if sent && !stale {
		f.limit, f.reason = CauseCredentials, "the credentials are wrong"
	}
	return f
}

// challenge asks for credentials, once for each algorithm.
func (s *Server) challenge(src *Source, stale bool, in *inbound) *failure {
	f := &failure{status: 401, kind: siprec.UnknownSource}
	nonce := s.nonces.make(src.Name, in.at)
	again := ""
	if stale {
		again = ", stale=true"
	}
	for _, a := range src.Digest.offers() {
		f.headers = append(f.headers, sip.NewHeader("WWW-Authenticate",
			fmt.Sprintf(`Digest realm=%s, nonce="%s", algorithm=%s, qop="auth"%s`, quoted(s.cfg.Realm), nonce, a.name, again)))
	}
	return f
}

// ask answers a request that has not proven whose it is. Asking is not refusing: only wrong credentials are reported. The
// same request comes again with the next sequence number, which then need not wait for this one.
func (s *Server) ask(in *inbound, f *failure) {
	if d := s.dialogOf(in); d != nil {
		d.noteAsked(in.req.CSeq().SeqNo)
	}
	if f.limit != "" {
		s.refuse(in, f)
		return
	}
	in.answered = true
	if err := in.tx.Respond(in.response(f.status, phrase(f.status), nil, f.fields()...)); err != nil {
		s.log.Debug("challenge not sent")
	}
	if in.req.IsInvite() {
		in.req.SetBody(nil) // the transaction keeps it until its ACK comes, and reads no more of it than header fields
	}
}

// tlsConn is the TLS connection that the client opened and the request came on, or nil.
func (s *Server) tlsConn(in *inbound) *streamConn {
	if in.place.transport != "tls" {
		return nil
	}
	over, ok := in.tx.Connection().(*sip.TCPConnection)
	if !ok {
		return nil
	}
	c, _ := over.Conn.(*streamConn)
	return c
}

// noteAsked remembers that the request with this sequence number was asked for credentials.
func (d *dialog) noteAsked(n uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = n
}

// isNext tells whether nothing is missing before the request with this sequence number but one that was asked for
// credentials; mu is held.
func (d *dialog) isNext(n uint32) bool {
	return d.asked != 0 && n == d.asked+1 && d.asked == d.seq.last+1
}
