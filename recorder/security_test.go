package recorder_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net"
	"strings"
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

// The journal of a call, which is encrypted on the disk, has no keys in it when it is read in clear.
func TestJournalHasNoKeys(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), recordAll, false)
	in := invitation("journal")
	plain, pwd := in.Offer, "asd88fgpdd777uzjYhagZg"
	var secrets [][]byte
	offer := func(fill byte) *siprec.Offer {
		key := bytes.Repeat([]byte{fill, fill + 1, fill + 2}, 10)
		o := withKey(plain, 1, key)
		for i := range o.Media {
			o.Media[i].ICE = &siprec.ICE{Ufrag: "8hhY", Pwd: siprec.NewSecret([]byte(pwd))}
		}
		secrets = append(secrets, key, []byte(pwd))
		return o
	}
	take := func(a siprec.Answer) {
		for _, m := range a.Media {
			secrets = append(secrets, m.Crypto.Keys[0].Secret.Reveal(), m.ICE.Pwd.Reveal())
		}
	}
	in.Offer = offer(0x10)
	answer, err := b.Begin(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	take(answer)
	answer, err = b.Update(t.Context(), in.Dialog, siprec.Change{Offer: offer(0x20), At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	take(answer)
	b.End(in.Dialog, siprec.EndBye, time.Now())
	ids, err := b.spool.List()
	if err != nil || len(ids) != 1 {
		t.Fatalf("recordings %q: %v", ids, err)
	}
	key, err := b.archive.Keys.Get(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	records := 0
	for record, err := range b.spool.Read(ids[0], key.SpoolKey()) {
		if err != nil {
			t.Fatal(err)
		}
		records++
		for _, secret := range secrets {
			if len(secret) < 16 {
				t.Fatalf("%q is no key", secret)
			}
			for _, form := range []string{string(secret), base64.StdEncoding.EncodeToString(secret), hex.EncodeToString(secret)} {
				for _, text := range readable(record.Payload) {
					if bytes.Contains(text, []byte(form)) {
						t.Errorf("a key stands in %s", text)
					}
				}
			}
		}
	}
	if records < 3 {
		t.Errorf("%d records were read: want the beginning, the change and the end", records)
	}
}

// readable gives a record, and what its strings hold in base64.
func readable(record []byte) [][]byte {
	texts := [][]byte{record}
	for _, s := range strings.Split(string(record), `"`) {
		if b, err := base64.StdEncoding.DecodeString(s); err == nil {
			texts = append(texts, b)
		}
	}
	return texts
}
