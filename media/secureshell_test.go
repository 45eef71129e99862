package media_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v3"

	"github.com/greffier/greffier/media"
)

func secured(s media.Stream, key []byte) media.Stream {
	s.Security.SDES = &media.SDES{
		Suite: "AES_CM_128_HMAC_SHA1_80", Ours: media.NewKey(make([]byte, 30)), Theirs: []media.MasterKey{{Key: media.NewKey(key)}},
	}
	return s
}

func fingerprints() []media.Fingerprint {
	sum := sha256.Sum256(nil)
	return []media.Fingerprint{{Hash: "sha-256", Sum: sum[:]}}
}

// secureSend sends a frame under a key.
func (p *phone) secureSend(ctx *srtp.Context, payload []byte) {
	n, err := p.h.MarshalTo(p.buf)
	if err != nil {
		p.t.Error(err)
		return
	}
	b, err := ctx.EncryptRTP(nil, append(p.buf[:n], payload...), nil)
	if err != nil {
		p.t.Error(err)
		return
	}
	p.raw(b)
	p.h.SequenceNumber++
	p.h.Timestamp += uint32(len(payload))
}

// check sends a connectivity check.
func (p *phone) check(pwd string) {
	p.t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername("ours:theirs"), stun.NewShortTermIntegrity(pwd), stun.Fingerprint)
	if err != nil {
		p.t.Fatal(err)
	}
	p.raw(m.Raw)
}

// answered waits for a datagram from where the phone sends to.
func (p *phone) answered() {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	if _, from, err := p.conn.ReadFromUDPAddrPort(make([]byte, 2000)); err != nil || from != p.at {
		p.t.Fatalf("answer from %v: %v", from, err)
	}
}

func sealing(t *testing.T, key []byte) *srtp.Context {
	t.Helper()
	ctx, err := srtp.CreateContext(key[:16], key[16:], srtp.ProtectionProfileAes128CmHmacSha1_80)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// What waits in the kernel when the keys change is opened with the keys that it was sent with, and so is what comes soon after.
func TestKeysChangeWhilePacketsWait(t *testing.T) {
	r, _ := startReceiver(t, media.Config{DrainInterval: time.Second})
	sink := new(tape)
	one, two := bytes.Repeat([]byte{1}, 30), bytes.Repeat([]byte{2}, 30)
	rec := openRecording(t, r, sink, secured(pcmu(0), one))
	p := newPhone(t, loopback, rec.Ports()[0])
	first, second := sealing(t, one), sealing(t, two)
	for range 5 {
		p.secureSend(first, filled(0x21))
	}
	if err := rec.Update([]media.Stream{secured(pcmu(0), two)}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		p.secureSend(first, filled(0x21))
	}
	for range 5 {
		p.secureSend(second, filled(0x22))
	}
	if err := rec.Update([]media.Stream{pcmu(0)}); err != nil { // in clear from here on
		t.Fatal(err)
	}
	p.secureSend(second, filled(0x22))
	p.send(filled(0x23))
	s := closeRecording(t, rec).Streams[0]
	if s.Packets != 17 || s.AuthFailed != 0 || s.Malformed != 0 {
		t.Errorf("%+v; want 17 packets", s)
	}
	if !sink.contains(0x21) || !sink.contains(0x22) || !sink.contains(0x23) {
		t.Error("not all of it was placed")
	}
}

// What waits in clear when an offer brings the first keys was let in when it came.
func TestFirstKeysWhilePacketsWait(t *testing.T) {
	r, _ := startReceiver(t, media.Config{DrainInterval: 2 * time.Second})
	rec := openRecording(t, r, new(tape), pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	for range 20 {
		p.send(filled(0x21))
	}
	one := bytes.Repeat([]byte{1}, 30)
	if err := rec.Update([]media.Stream{secured(pcmu(0), one)}); err != nil {
		t.Fatal(err)
	}
	p.send(filled(0x22))
	p.secureSend(sealing(t, one), filled(0x23))
	if s := closeRecording(t, rec).Streams[0]; s.Packets != 21 || s.AuthFailed != 1 {
		t.Errorf("20 packets in clear came before the keys, one after, and one under them: %+v", s)
	}
}

// Before the keys are agreed nothing is let in, whatever it is and wherever it comes from; and the end of the recording ends what it
// has begun, in time.
func TestHandshakeWithoutEnd(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	passive, active := pcmu(0), pcmu(1)
	passive.Security.DTLS = &media.DTLS{Fingerprints: fingerprints()}
	nobody := newPhone(t, loopback, 1) // it never answers
	active.Security.DTLS = &media.DTLS{
		Fingerprints: fingerprints(), Active: true, Peer: nobody.conn.LocalAddr().(*net.UDPAddr).AddrPort(),
	}
	active.RTCPMux = true
	sink := new(tape)
	rec := openRecording(t, r, sink, passive, active)
	hello := append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4}, 1, 0, 0, 0)
	p, q := newPhone(t, loopback, rec.Ports()[0]), newPhone(t, stranger, rec.Ports()[0])
	q.raw(hello)
	q.send(filled(0x21))
	p.send(filled(0x21)) // no handshake yet
	p.raw([]byte{0, 1, 0, 0})
	p.raw([]byte{99})
	eventually(t, "all was seen", func() bool {
		s := rec.Stats()[0]
		return s.Foreign == 2 && s.AuthFailed == 1 && s.Malformed == 2
	})
	p.raw(hello)
	for range 100 {
		p.send(filled(0x21))
	}
	// The hello of our side is there: the peer has its address.
	buf := make([]byte, 2000)
	if err := nobody.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := nobody.conn.ReadFromUDPAddrPort(buf); err != nil || n == 0 || buf[0] != 22 {
		t.Fatalf("no hello of ours: %v", err)
	}
	begin := time.Now()
	s := closeRecording(t, rec).Streams[0]
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("the recording took %v to end", took)
	}
	if s.Packets != 0 || sink.contains(0x21) {
		t.Errorf("something was let in: %+v", s)
	}
	stacks := make([]byte, 1<<20)
	eventually(t, "the recording's goroutines have ended", func() bool {
		all := stacks[:runtime.Stack(stacks, true)]
		return !bytes.Contains(all, []byte("pion/dtls")) && !bytes.Contains(all, []byte("hurry"))
	})
}

// A source that was not offered is one after a check with our password, and not before, and not after one without.
func TestCheckedSource(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	sink := new(tape)
	s := pcmu(0)
	s.ICE = &media.ICE{Ufrag: "ours", Pwd: media.NewKey([]byte("asd88fgpdd777uzjYhagZg"))}
	rec := openRecording(t, r, sink, s)
	p := newPhone(t, stranger, rec.Ports()[0])
	p.send(filled(0x21))
	p.check("another password that is wrong")
	p.send(filled(0x21))
	eventually(t, "two foreign packets", func() bool { return rec.Stats()[0].Foreign == 2 })
	p.check("asd88fgpdd777uzjYhagZg")
	p.answered()
	p.send(filled(0x22))
	if err := rec.Update([]media.Stream{s}); err != nil { // a refresh does not forget it
		t.Fatal(err)
	}
	p.send(filled(0x23))
	got := closeRecording(t, rec).Streams[0]
	if got.Packets != 2 || got.Foreign != 2 || sink.contains(0x21) || !sink.contains(0x22, 0x23) {
		t.Errorf("%+v", got)
	}
}

// What checks have proved holds for their credentials only: not after a restart of ICE, and not after an offer without it.
func TestCheckedSourceIsForgotten(t *testing.T) {
	again := pcmu(0)
	again.ICE = &media.ICE{Ufrag: "ours", Pwd: media.NewKey([]byte("another password of ours"))}
	for name, next := range map[string]media.Stream{"no ICE": pcmu(0), "restarted": again} {
		t.Run(name, func(t *testing.T) {
			r, _ := startReceiver(t, media.Config{})
			sink := new(tape)
			s := pcmu(0)
			s.ICE = &media.ICE{Ufrag: "ours", Pwd: media.NewKey([]byte("asd88fgpdd777uzjYhagZg"))}
			rec := openRecording(t, r, sink, s)
			p := newPhone(t, stranger, rec.Ports()[0])
			p.check("asd88fgpdd777uzjYhagZg")
			p.answered()
			p.send(filled(0x22))
			eventually(t, "the packet after the check", func() bool { return rec.Stats()[0].Packets == 1 })
			if err := rec.Update([]media.Stream{next}); err != nil {
				t.Fatal(err)
			}
			for range 10 {
				p.send(filled(0x21))
			}
			got := closeRecording(t, rec).Streams[0]
			if got.Foreign != 10 || sink.contains(0x21) {
				t.Errorf("a source that is not one any more is recorded: %d foreign, %d placed", got.Foreign, got.Placed)
			}
		})
	}
}

// What a recording begins for those who wait may run before it is open: for the race detector.
func TestOpenWhileOthersWait(t *testing.T) {
	r, err := media.NewReceiver(media.Config{}) // it does not run: who drains is the recording's own
	if err != nil {
		t.Fatal(err)
	}
	one, two := pcmu(0), pcmu(1)
	one.ICE = &media.ICE{Ufrag: "ours", Pwd: media.NewKey([]byte("asd88fgpdd777uzjYhagZg"))}
	two.ICE = one.ICE
	rec := openRecording(t, r, new(tape), one, two)
	p := newPhone(t, loopback, rec.Ports()[1])
	p.send(filled(0x21))
	eventually(t, "it is drained", func() bool { return rec.Stats()[1].Packets == 1 })
	closeRecording(t, rec)
}

// Reports of a protected stream may come from where ours go (RFC 3605), as those of one in clear.
func TestReportsFromTheirAddress(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	one := bytes.Repeat([]byte{1}, 30)
	s := secured(pcmu(0), one)
	s.RTCP = netip.AddrPortFrom(stranger, 4001)
	s.ICE = &media.ICE{Ufrag: "ours", Pwd: media.NewKey([]byte("asd88fgpdd777uzjYhagZg"))} // so that it is drained in a hurry
	rec := openRecording(t, r, new(tape), s)
	p := newPhone(t, stranger, rec.Ports()[0]+1)
	p.raw([]byte{0x80, 200, 0, 1, 0, 0, 0, 5})
	p.check("asd88fgpdd777uzjYhagZg")
	p.answered() // so that all was seen
	if n := r.Stats().ForeignReports; n != 0 {
		t.Errorf("%d reports are foreign", n)
	}
	if s := closeRecording(t, rec).Streams[0]; s.AuthFailed != 1 { // it was in clear
		t.Errorf("%+v", s)
	}
}

// A stream that cannot be opened leaves nothing behind.
func TestOpenWithWrongKeys(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	s := pcmu(0)
	s.Security.SDES = &media.SDES{Suite: "AES_CM_128_HMAC_SHA1_80"}
	if _, err := r.Open(media.Open{Channels: 1, Streams: []media.Stream{s}, Sink: new(tape)}); err == nil {
		t.Error("opened without a key")
	}
	f := r.Fingerprint()
	if f.Hash != "sha-256" || len(f.Sum) != 32 || fmt.Sprint(f) == fmt.Sprint(fingerprints()[0]) {
		t.Errorf("our fingerprint is %v", f)
	}
}
