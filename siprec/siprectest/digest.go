package siprectest

import (
	"sync"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"github.com/greffier/greffier/siprec"
)

// Credentials are what a Client answers challenges with (RFC 3261 section 22.2). The zero value answers none.
type Credentials struct {
	User     string
	Password siprec.Secret
	MD5      bool // take the challenge for MD5, as most SBCs do, even if a better one is offered
}

// A prover answers a server's challenges, and goes on with the last one until the server wants another.
type prover struct {
	creds Credentials

	mu    sync.Mutex // protects what follows
	last  *digest.Challenge
	count int // how often it was used
}

// challenged takes the first challenge of a 401 that can be answered, and tells whether there is one (RFC 8760 section 2.4).
func (p *prover) challenged(res *sip.Response) bool {
	if p.creds.User == "" || res.StatusCode != sip.StatusUnauthorized {
		return false
	}
	for _, h := range res.GetHeaders("WWW-Authenticate") {
		c, err := digest.ParseChallenge(h.Value())
		if err != nil || !digest.CanDigest(c) || p.creds.MD5 && c.Algorithm != "MD5" {
			continue
		}
		p.mu.Lock()
		p.last, p.count = c, 0
		p.mu.Unlock()
		return true
	}
	return false
}

// sign adds credentials to a request, when the server has asked for any before.
func (p *prover) sign(m *message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil {
		return
	}
	p.count++
	c, err := digest.Digest(p.last, digest.Options{
		Method: m.method, URI: m.uri, Count: p.count, Username: p.creds.User, Password: string(p.creds.Password.Reveal()),
	})
	if err == nil {
		m.add("Authorization", c.String())
	}
}
