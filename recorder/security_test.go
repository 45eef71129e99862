package recorder_test

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
)

// withKey is an offer with SDES keys on every m-line.
func withKey(o *siprec.Offer, tag int, key []byte) *siprec.Offer {
	c := *o
	c.Media = nil
	for _, m := range o.Media {
		m.Protocol = "RTP/SAVP"
		m.Crypto = []siprec.Crypto{{Tag: tag, Suite: siprec.AESCM128SHA80, Keys: []siprec.CryptoKey{{Secret: siprec.NewSecret(key)}}}}
		c.Media = append(c.Media, m)
	}
	return &c
}

// A securePhone sends SRTP to one port.
type securePhone struct {
	t    *testing.T
	conn *net.UDPConn
	ctx  *srtp.Context
	n    uint32
}

func newSecurePhone(t *testing.T, key []byte, port int) *securePhone {
	t.Helper()
	ctx, err := srtp.CreateContext(key[:16], key[16:], srtp.ProtectionProfileAes128CmHmacSha1_80)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: loopback.AsSlice(), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &securePhone{t: t, conn: conn, ctx: ctx}
}

// speak sends n packets, and loses all but one of step.
func (p *securePhone) speak(n, step int) {
	p.t.Helper()
	for i := range n * step {
		packet := rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 1, SequenceNumber: uint16(p.n), Timestamp: p.n * 160}, Payload: make([]byte, 160)}
		p.n++
		plain, err := packet.Marshal()
		if err != nil {
			p.t.Fatal(err)
		}
		sealed, err := p.ctx.EncryptRTP(nil, plain, nil)
		if err != nil {
			p.t.Fatal(err)
		}
		if i%step != 0 {
			continue
		}
		if _, err := p.conn.Write(sealed); err != nil {
			p.t.Fatal(err)
		}
	}
}

// RFC 4568 section 7.1.4: after a rejected offer the keys of before stay in place, with their roll-over counters; and so does our own.
func TestRejectedOfferKeepsKeys(t *testing.T) {
	b := newBenchOn(t, t.TempDir(), newFake(t), recordAll, false, media.Config{Addr: loopback, PortMin: 19100, PortMax: 19103})
	in := invitation("rejected")
	old, fresh := bytes.Repeat([]byte{1}, 30), bytes.Repeat([]byte{2}, 30)
	plain := in.Offer
	in.Offer = withKey(plain, 1, old)
	answer, err := b.Begin(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	p := newSecurePhone(t, old, answer.Media[0].Port)
	p.speak(140, 1000)
	offer := withKey(plain, 1, fresh)
	third := offer.Media[0]
	third.Label = "3"
	offer.Media = append(offer.Media, third) // no ports are left for it
	if _, err := b.Update(t.Context(), in.Dialog, siprec.Change{Offer: offer, At: time.Now()}); err == nil {
		t.Fatal("not rejected")
	}
	p.speak(10, 1)
	again, err := b.Update(t.Context(), in.Dialog, siprec.Change{Offer: in.Offer, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if !again.Media[0].Crypto.SameKeys(*answer.Media[0].Crypto) {
		t.Error("the key of before is answered otherwise after a rejected offer")
	}
	p.speak(10, 1)
	b.End(in.Dialog, siprec.EndBye, time.Now())
	if s := b.Totals(); s.AuthFailed != 0 || s.Packets != 160 {
		t.Errorf("%d auth_failed, %d packets", s.AuthFailed, s.Packets)
	}
}

// The same key under another tag, of an SRC that numbers its lines anew, goes on where it was.
func TestSameKeyUnderAnotherTag(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), recordAll, false)
	in := invitation("tags")
	key, plain := bytes.Repeat([]byte{1}, 30), in.Offer
	in.Offer = withKey(plain, 2, key)
	answer, err := b.Begin(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	p := newSecurePhone(t, key, answer.Media[0].Port)
	p.speak(140, 1000)
	again, err := b.Update(t.Context(), in.Dialog, siprec.Change{Offer: withKey(plain, 1, key), At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if one, two := again.Media[0].Crypto, answer.Media[0].Crypto; one.Tag != 1 || two.Tag != 2 || !one.SameKeys(*two) {
		t.Errorf("answered with tags %d and then %d, the same keys: %t", two.Tag, one.Tag, one.SameKeys(*two))
	}
	p.speak(20, 1)
	b.End(in.Dialog, siprec.EndBye, time.Now())
	if s := b.Totals(); s.AuthFailed != 0 || s.Packets != 160 {
		t.Errorf("%d auth_failed, %d packets", s.AuthFailed, s.Packets)
	}
}
