package policy

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// protected tells whether the directory protects anybody in the call.
func (c *call) protected() bool {
	for _, p := range c.parties {
		if p.user != nil && p.user.Protected {
			return true
		}
	}
	return false
}

// acknowledged tells whether every internal participant has acknowledged the notice.
func (c *call) acknowledged(notice string) bool {
	if notice == "" {
		return true
	}
	for _, p := range c.parties {
		if p.internal && (p.user == nil || !p.user.hasAcknowledged(notice)) {
			return false
		}
	}
	return true
}

// agent names the internal participant that draws and quotas count for: who was called before who called, and else the first by
// name, so that every node finds the same. "" when nobody is internal.
func (c *call) agent() string {
	for _, p := range []*party{c.callee, c.caller} {
		if p.internal {
			return p.identity()
		}
	}
	first := ""
	for _, p := range c.parties {
		if id := p.identity(); p.internal && (first == "" || id < first) {
			first = id
		}
	}
	return first
}

// identity names a participant the same in every call, as far as is known.
func (p *party) identity() string {
	if p.user != nil {
		return "user:" + p.user.ID
	}
	return p.address()
}

// address is the participant's number in E.164, else the number as it came, else user and host.
func (p *party) address() string {
	if n := cmp.Or(p.text(partyE164), p.text(partyNumber)); n != "" {
		return n
	}
	return p.text(partyUser) + "@" + p.text(partyHost)
}

// drawKey gives what a draw of the scope is made for, or says why there is nothing.
func (c *call) drawKey(scope Scope) (key, missing string) {
	switch scope {
	case PerAgentDay:
		agent := c.agent()
		if agent == "" {
			return "", "the call has no agent to draw for"
		}
		return "agent_day\x00" + agent + "\x00" + c.local.Format(time.DateOnly), ""
	case PerConversation:
		if m := c.facts.Metadata; m != nil {
			for _, s := range m.Sessions {
				if s.Group != "" {
					return "conversation\x00" + string(s.Group), ""
				}
			}
		}
	}
	key = c.callKey()
	if key == "" {
		return "", "the call has no key to draw for"
	}
	return key, ""
}

func (c *call) callKey() string {
	if c.facts.CallKey == "" && c.facts.Metadata != nil {
		return c.facts.Metadata.CallKey("")
	}
	return c.facts.CallKey
}

// keyed is the first 128 bits of HMAC-SHA-256(key, parts joined by 0x00).
func keyed(key []byte, parts ...string) (sum [16]byte) {
	h := hmac.New(sha256.New, key)
	for i, part := range parts {
		if i > 0 {
			h.Write([]byte{0})
		}
		h.Write([]byte(part))
	}
	copy(sum[:], h.Sum(nil))
	return sum
}

func hexKeyed(key []byte, parts ...string) string {
	sum := keyed(key, parts...)
	return hex.EncodeToString(sum[:])
}
