package srs

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"time"
)

// nonces makes and checks the nonces of digest authentication. Making one keeps nothing: it carries its own time and proof, so
// that whoever asks for many gets many and costs nothing. Only nonces that came back with the right password are kept, because
// each of their counts may be used once (RFC 7616 section 5.12).
type nonces struct {
	key [sha256.Size]byte

	mu    sync.Mutex // protects what follows
	used  map[string]*counts
	since time.Time // nonces from before are stale
}

// counts are the nonce counts that came: the highest, and which of the 64 below, for UDP changes their order.
type counts struct {
	made time.Time
	top  uint32
	seen uint64 // bit i: top-i came
}

const (
	nonceHead = 8 + 8                     // milliseconds since 1970, and chance
	nonceSize = nonceHead + sha256.Size/2 // and half of a MAC over them and the source's name
)

// nonceText writes a nonce in one way only.
var nonceText = base64.RawURLEncoding.Strict()

func newNonces() *nonces {
	n := &nonces{used: map[string]*counts{}}
	_, _ = rand.Read(n.key[:]) // crypto/rand: never fails
	return n
}

func (n *nonces) mac(head []byte, src string) []byte {
	m := hmac.New(sha256.New, n.key[:])
	_, _ = m.Write(head) // of a hash: cannot fail
	_, _ = m.Write([]byte(src))
	return m.Sum(nil)[:sha256.Size/2]
}

// make gives a nonce for a source.
func (n *nonces) make(src string, now time.Time) string {
	b := make([]byte, nonceHead, nonceSize)
	binary.BigEndian.PutUint64(b, uint64(now.UnixMilli()))
	_, _ = rand.Read(b[8:nonceHead])
	return nonceText.EncodeToString(append(b, n.mac(b, src)...))
}

// made tells when the nonce was made; false when it is not ours, or of another source.
func (n *nonces) made(nonce, src string) (time.Time, bool) {
	b, err := nonceText.DecodeString(nonce)
	if err != nil || len(b) != nonceSize || !hmac.Equal(b[nonceHead:], n.mac(b[:nonceHead], src)) {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b))), true
}

// spend takes a count of a nonce, once. False means that the client needs a new nonce: this one is not ours, too old, or was
// used with this count. It is asked only when the password was right.
func (n *nonces) spend(nonce, src string, count uint32, now time.Time) bool {
	made, ok := n.made(nonce, src)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !ok || now.Sub(made) > nonceLife || made.Sub(now) > nonceSkew || !made.After(n.since) || count == 0 {
		return false
	}
	c := n.used[nonce]
	if c == nil {
		n.makeRoom(now)
		if !made.After(n.since) {
			return false
		}
		c = &counts{made: made}
		n.used[nonce] = c
	}
	return c.take(count)
}

// makeRoom forgets what is too old. When that is not enough it forgets all, and asks everybody for a new nonce.
func (n *nonces) makeRoom(now time.Time) {
	if len(n.used) < maxNonces {
		return
	}
	for k, c := range n.used {
		if now.Sub(c.made) > nonceLife {
			delete(n.used, k)
		}
	}
	if len(n.used) >= maxNonces {
		clear(n.used)
		n.since = now
	}
}

func (c *counts) take(count uint32) bool {
	switch {
	case count > c.top:
		c.seen = c.seen<<(count-c.top) | 1 // a shift by 64 or more leaves nothing
		c.top = count
		return true
	case c.top-count >= 64 || c.seen&(1<<(c.top-count)) != 0:
		return false
	}
	c.seen |= 1 << (c.top - count)
	return true
}
