package media

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

var allSuites = []Suite{
	"AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM",
}

// keyFor makes a key of the suite's size, of one byte value.
func keyFor(t testing.TB, s Suite, fill byte) Key {
	t.Helper()
	profile, err := s.profile()
	if err != nil {
		t.Fatal(err)
	}
	key, err1 := profile.KeyLen()
	salt, err2 := profile.SaltLen()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return NewKey(bytes.Repeat([]byte{fill}, key+salt))
}

func sdesOf(t testing.TB, s Suite, fill byte, mki ...[]byte) *SDES {
	d := &SDES{Suite: s, Ours: keyFor(t, s, 0x77)}
	for i := range max(1, len(mki)) {
		m := MasterKey{Key: keyFor(t, s, fill+byte(i))}
		if mki != nil {
			m.MKI = mki[i]
		}
		d.Theirs = append(d.Theirs, m)
	}
	return d
}

// A sealer is the sender's side, straight by the library.
type sealer struct {
	t   testing.TB
	ctx *srtp.Context
}

func newSealer(t testing.TB, s Suite, k Key, options ...srtp.ContextOption) sealer {
	t.Helper()
	profile, err := s.profile()
	if err != nil {
		t.Fatal(err)
	}
	key, salt, err := split(profile, k)
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := srtp.CreateContext(key, salt, profile, options...)
	if err != nil {
		t.Fatal(err)
	}
	return sealer{t, ctx}
}

func plainRTP(t testing.TB, ssrc uint32, sequence uint16) []byte {
	t.Helper()
	b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SSRC: ssrc, SequenceNumber: sequence, Timestamp: 160 * uint32(sequence)}, Payload: bytes.Repeat([]byte{0xd5}, 160)}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s sealer) rtp(ssrc uint32, sequence uint16) []byte {
	b, err := s.ctx.EncryptRTP(nil, plainRTP(s.t, ssrc, sequence), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// newGuard is a guard with keys, as a recording has it.
func newGuard(t testing.TB, d *SDES) *guard {
	t.Helper()
	k, err := d.keys()
	if err != nil {
		t.Fatal(err)
	}
	g := &guard{security: Security{SDES: d}}
	g.sides[sideRTP].keys, g.sides[sideRTCP].keys = k, k
	return g
}

func (g *guard) try(packet []byte) ([]byte, opening) {
	return g.open(&g.sides[sideRTP], false, 0, bytes.Clone(packet))
}

// Each suite opens what the same key sealed, once, and nothing else.
func TestOpen(t *testing.T) {
	for _, suite := range allSuites {
		t.Run(string(suite), func(t *testing.T) {
			g := newGuard(t, sdesOf(t, suite, 1))
			s, other := newSealer(t, suite, keyFor(t, suite, 1)), newSealer(t, suite, keyFor(t, suite, 9))
			for n := range uint16(3) {
				packet := s.rtp(5, n)
				for at := range packet { // a flipped bit anywhere
					bad := bytes.Clone(packet)
					bad[at] ^= 0x10
					if plain, v := g.try(bad); v == opened {
						t.Fatalf("packet %d with byte %d changed is opened: %x", n, at, plain)
					}
				}
				if plain, v := g.try(packet); v != opened || !bytes.Equal(plain, plainRTP(t, 5, n)) {
					t.Fatalf("packet %d: %v, %x", n, v, plain)
				}
				if _, v := g.try(packet); v != replayed {
					t.Errorf("packet %d again: %v", n, v)
				}
			}
			for name, packet := range map[string][]byte{
				"another key": other.rtp(5, 9), "in clear": plainRTP(t, 5, 10), "cut": s.rtp(5, 11)[:14], "short": {0x80, 0, 0}, "empty": {},
			} {
				if _, v := g.try(packet); v != forged {
					t.Errorf("%s: %v", name, v)
				}
			}
		})
	}
}

// The sequence number rolls over; and a source of which the packets before its first roll-over were lost is understood.
func TestRollover(t *testing.T) {
	for _, suite := range allSuites {
		g, s := newGuard(t, sdesOf(t, suite, 1)), newSealer(t, suite, keyFor(t, suite, 1))
		for n := range 70000 {
			packet := s.rtp(5, uint16(65500+n))
			if n%997 == 3 || n < 100 {
				if _, v := g.try(packet); v != opened {
					t.Fatalf("%s: packet %d: %v", suite, n, v)
				}
			}
		}
		g, s = newGuard(t, sdesOf(t, suite, 1)), newSealer(t, suite, keyFor(t, suite, 1))
		for n := range 20 {
			packet := s.rtp(5, uint16(65530+n))
			if n < 10 {
				continue // lost
			}
			if _, v := g.try(packet); v != opened {
				t.Errorf("%s: packet %d, of which those before the roll-over were lost: %v", suite, n, v)
			}
		}
	}
}

// lose makes packets that nobody gets, and gives the next sequence number.
func (s sealer) lose(ssrc uint32, first uint16, n int) uint16 {
	packet := plainRTP(s.t, ssrc, 0)[:rtpFixedHeader+1]
	for i := range n {
		binary.BigEndian.PutUint16(packet[2:], first+uint16(i))
		if _, err := s.ctx.EncryptRTP(nil, packet, nil); err != nil {
			s.t.Fatal(err)
		}
	}
	return first + uint16(n)
}

// After an outage in which the sequence number went half around, or around more than once, a source is understood again; and what
// was sent before the outage is a replay after it, and moves nothing.
func TestRolloverAfterOutage(t *testing.T) {
	for _, suite := range []Suite{allSuites[0], allSuites[4]} {
		for _, lost := range []int{32767, 40000, 70000, 140000} {
			for _, begun := range []int{1, 35000} {
				g, s := newGuard(t, sdesOf(t, suite, 1)), newSealer(t, suite, keyFor(t, suite, 1))
				side := &g.sides[sideRTP]
				next := s.lose(5, 1000, begun)
				early := s.rtp(5, next)
				if _, v := g.open(side, false, 0, bytes.Clone(early)); v != opened {
					t.Fatalf("%s: the first packet: %v", suite, v)
				}
				next = s.lose(5, next+1, lost)
				after := s.rtp(5, next)
				now := rolloverSilence
				for range 3 {
					if _, v := g.open(side, false, now, bytes.Clone(early)); v == opened {
						t.Errorf("%s: a replay before the first packet after %d is opened", suite, lost)
					}
					now += rolloverEvery
				}
				if _, v := g.open(side, false, now, bytes.Clone(after)); v != opened {
					t.Errorf("%s: the first packet after %d and then %d lost ones: %v", suite, begun, lost, v)
				}
				for n := range uint16(5) {
					if _, v := g.open(side, false, now, s.rtp(5, next+1+n)); v != opened {
						t.Errorf("%s: packet %d after %d lost ones: %v", suite, n+2, lost, v)
					}
				}
				for _, old := range [][]byte{early, after} {
					if _, v := g.open(side, false, now+2*rolloverSilence, bytes.Clone(old)); v == opened {
						t.Errorf("%s: a replay after %d lost packets is opened", suite, lost)
					}
				}
			}
		}
	}
}

// A change of keys begins no new count of roll-overs (RFC 3711 section 3.3.1), and with some senders it does.
func TestRolloverOutlivesKeys(t *testing.T) {
	suite := allSuites[0]
	for _, counter := range []uint32{0, 20, 21} {
		g, s, fresh := newGuard(t, sdesOf(t, suite, 1)), newSealer(t, suite, keyFor(t, suite, 1)), newSealer(t, suite, keyFor(t, suite, 2))
		side := &g.sides[sideRTP]
		s.ctx.SetROC(5, 1)
		if _, v := g.open(side, false, 0, s.rtp(5, 40000)); v != opened {
			t.Fatalf("the first packet, of which the roll-over was not seen: %v", v)
		}
		side.keep(&keys{heard: map[uint32]*heard{5: {ssrc: 5, last: 20<<16 | 40000}}})
		side.keys = newGuard(t, sdesOf(t, suite, 2)).sides[sideRTP].keys
		fresh.ctx.SetROC(5, counter)
		for n := range uint16(5) {
			if _, v := g.open(side, false, int64(n), fresh.rtp(5, 41000+n)); v != opened {
				t.Errorf("roll-over counter %d after other keys: packet %d: %v", counter, n, v)
			}
		}
	}
}

// Packets that overtake others by less than the timeline cares for are opened; those that are older than the window are not.
func TestReplayWindow(t *testing.T) {
	g, s := newGuard(t, sdesOf(t, allSuites[0], 1)), newSealer(t, allSuites[0], keyFor(t, allSuites[0], 1))
	var packets [][]byte
	for n := range uint16(2000) {
		packets = append(packets, s.rtp(5, n))
	}
	for n, want := range map[int]opening{1999 - replayWindow + 1: opened, 1999 - replayWindow - 1: replayed} {
		if _, v := g.try(packets[1999]); v == forged {
			t.Fatal(v)
		}
		if _, v := g.try(packets[n]); v != want {
			t.Errorf("packet %d after 1999: %v, want %v", n, v, want)
		}
	}
}

func TestMasterKeyIdentifiers(t *testing.T) {
	for _, suite := range allSuites {
		one, two := []byte{0, 0, 0, 1}, []byte{0, 0, 0, 2}
		g := newGuard(t, sdesOf(t, suite, 1, one, two))
		first := newSealer(t, suite, keyFor(t, suite, 1), srtp.MasterKeyIndicator(one))
		second := newSealer(t, suite, keyFor(t, suite, 2), srtp.MasterKeyIndicator(two))
		unknown := newSealer(t, suite, keyFor(t, suite, 1), srtp.MasterKeyIndicator([]byte{9, 9, 9, 9}))
		for n, s := range []sealer{first, second, unknown} {
			_, v := g.try(s.rtp(5, uint16(n)))
			if want := map[bool]opening{true: opened, false: forged}[n < 2]; v != want {
				t.Errorf("%s: key %d: %v, want %v", suite, n+1, v, want)
			}
		}
	}
	bad := sdesOf(t, allSuites[0], 1, []byte{1}, []byte{1, 2})
	if _, err := bad.keys(); err == nil {
		t.Error("MKIs of two lengths are taken")
	}
}

// Packets under the old keys are taken for a while after new ones came, also into a stream that is in clear then.
func TestOldKeysOverlap(t *testing.T) {
	suite := allSuites[4]
	g := newGuard(t, sdesOf(t, suite, 1))
	s, fresh := newSealer(t, suite, keyFor(t, suite, 1)), newSealer(t, suite, keyFor(t, suite, 2))
	k, err := sdesOf(t, suite, 2).keys()
	if err != nil {
		t.Fatal(err)
	}
	side := &g.sides[sideRTP]
	side.before, side.until, side.keys = side.keys, 100, k
	for n, step := range []struct {
		s    sealer
		at   int64
		want opening
	}{{s, 50, opened}, {fresh, 60, opened}, {s, 100, opened}, {fresh, 101, opened}, {s, 101, forged}} {
		if _, v := g.open(side, false, step.at, step.s.rtp(5, uint16(n))); v != step.want {
			t.Errorf("step %d: %v, want %v", n, v, step.want)
		}
	}
}

// In a stream that is in clear now nothing under the keys of before passes for sound, however late: it is opened, and a replay is
// nothing. What is in clear passes, also when it begins to count anew, and ends the keys.
func TestCipherIsNoSound(t *testing.T) {
	const long = 10 * rekeyOverlap
	for _, suite := range allSuites {
		g, s := newGuard(t, sdesOf(t, suite, 1)), newSealer(t, suite, keyFor(t, suite, 1))
		side := &g.sides[sideRTP]
		for n := range uint16(2000) {
			g.try(s.rtp(5, 3000+n))
		}
		side.replace(nil, 0)
		g.security = Security{}
		late := s.rtp(5, 5001)
		report, err := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: 5}})
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := s.ctx.EncryptRTCP(nil, report, nil)
		if err != nil {
			t.Fatal(err)
		}
		for n, step := range []struct {
			at           int64
			report       bool
			packet, want []byte
		}{
			{50, false, s.rtp(5, 5000), plainRTP(t, 5, 5000)},
			{long, false, late, plainRTP(t, 5, 5001)},
			{long, false, late, nil},
			{long, true, sealed, report},
			{long, true, sealed, nil},
			{long, true, report, report},
			{long + 1, false, plainRTP(t, 5, 5002), plainRTP(t, 5, 5002)},
			{long + 1, false, plainRTP(t, 5, 4900), plainRTP(t, 5, 4900)},
			{long + 1, false, plainRTP(t, 5, 7), plainRTP(t, 5, 7)},
			{long + 1, false, []byte{0x80, 0, 1}, []byte{0x80, 0, 1}},
			{2 * long, false, s.rtp(5, 5003), plainRTP(t, 5, 5003)},
		} {
			if got := g.afterKeys(side, step.report, step.at, bytes.Clone(step.packet)); !bytes.Equal(got, step.want) {
				t.Errorf("%s: step %d: %x passes as %x, want %x", suite, n, step.packet, got, step.want)
			}
		}
		for n := range uint16(minInClear) {
			packet := plainRTP(t, 5, 5004+n)
			if side.before == nil {
				t.Fatalf("%s: keys are given up after %d packets in clear", suite, n)
			}
			if got := g.afterKeys(side, false, 3*long, bytes.Clone(packet)); !bytes.Equal(got, packet) {
				t.Errorf("%s: packet %d in clear passes as %x", suite, n, got)
			}
		}
		if side.before != nil {
			t.Errorf("%s: keys are kept for good", suite)
		}
	}
}

// A key takes so many sources and no more, and forgeries cost none.
func TestSourcesAreBounded(t *testing.T) {
	suite := allSuites[0]
	g, s, other := newGuard(t, sdesOf(t, suite, 1)), newSealer(t, suite, keyFor(t, suite, 1)), newSealer(t, suite, keyFor(t, suite, 2))
	for n := range uint32(1000) {
		if _, v := g.try(other.rtp(100000+n, 1)); v != forged {
			t.Fatal(v)
		}
	}
	for n := range uint32(maxSecureSources + 1) {
		_, v := g.try(s.rtp(n, 1))
		if want := map[bool]opening{true: opened, false: forged}[n < maxSecureSources]; v != want {
			t.Errorf("source %d: %v", n, v)
		}
	}
}

func TestReportsAreProtected(t *testing.T) {
	for _, suite := range allSuites {
		g, s := newGuard(t, sdesOf(t, suite, 1)), newSealer(t, suite, keyFor(t, suite, 1))
		plain, err := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: 5}})
		if err != nil {
			t.Fatal(err)
		}
		packet, err := s.ctx.EncryptRTCP(nil, plain, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []opening{opened, replayed} {
			if _, v := g.open(&g.sides[sideRTCP], true, 0, bytes.Clone(packet)); v != want {
				t.Errorf("%s: %v, want %v", suite, v, want)
			}
		}
		if _, v := g.open(&g.sides[sideRTCP], true, 0, plain); v != forged {
			t.Errorf("%s: a report in clear: %v", suite, v)
		}
		ours, err := g.sides[sideRTCP].keys.seal(plain)
		if err != nil {
			t.Fatal(err)
		}
		back := newSealer(t, suite, keyFor(t, suite, 0x77))
		if got, err := back.ctx.DecryptRTCP(nil, ours, nil); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: our report cannot be opened with our key: %v", suite, err)
		}
	}
}

func TestKeyNeverPrints(t *testing.T) {
	s := Stream{Security: Security{SDES: sdesOf(t, allSuites[0], 'k')}, ICE: &ICE{Pwd: NewKey([]byte("kkkkkkkk"))}}
	asJSON, err := json.Marshal([]any{s.Security, s.ICE})
	if err != nil {
		t.Fatal(err)
	}
	all := string(asJSON)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		all += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, s.Security.SDES) + fmt.Sprintf(verb, *s.Security.SDES) + fmt.Sprintf(verb, *s.ICE)
	}
	for _, bad := range []string{"kkkk", "6b6b6b", "107 107", "107,107"} {
		if strings.Contains(all, bad) {
			t.Errorf("%q is printed in %s", bad, all)
		}
	}
}

func TestWrongKeysAreRefused(t *testing.T) {
	for name, s := range map[string]Security{
		"suite":       {SDES: &SDES{Suite: "NULL_HMAC_SHA1_80"}},
		"no key":      {SDES: &SDES{Suite: allSuites[0], Ours: keyFor(t, allSuites[0], 1)}},
		"short key":   {SDES: &SDES{Suite: allSuites[0], Ours: keyFor(t, allSuites[0], 1), Theirs: []MasterKey{{Key: NewKey([]byte("short"))}}}},
		"no own key":  {SDES: &SDES{Suite: allSuites[0], Theirs: []MasterKey{{Key: keyFor(t, allSuites[0], 1)}}}},
		"fingerprint": {DTLS: &DTLS{}},
		"both":        {SDES: sdesOf(t, allSuites[0], 1), DTLS: &DTLS{Fingerprints: make([]Fingerprint, 1)}},
	} {
		if err := checkStreams(nil, []Stream{{Security: s}}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Of random packets nothing is opened, whatever the suite, and nothing breaks. A packet that was sealed is opened after them.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{}, byte(0))
	f.Add(plainRTP(f, 5, 1), byte(1))
	f.Add(append([]byte{0x9f}, bytes.Repeat([]byte{0xff}, 200)...), byte(4))
	f.Fuzz(func(t *testing.T, packet []byte, which byte) {
		suite := allSuites[int(which)%len(allSuites)]
		g, s := newGuard(t, sdesOf(t, suite, 1)), newSealer(t, suite, keyFor(t, suite, 1))
		if _, v := g.try(packet); v == opened {
			t.Errorf("%x is opened", packet)
		}
		if _, v := g.open(&g.sides[sideRTCP], true, 0, bytes.Clone(packet)); v == opened {
			t.Errorf("%x is opened as a report", packet)
		}
		ssrc := uint32(7)
		if len(packet) >= rtpFixedHeader {
			ssrc = binary.BigEndian.Uint32(packet[8:])
		}
		if plain, v := g.try(s.rtp(ssrc, 3)); v != opened || !bytes.Equal(plain, plainRTP(t, ssrc, 3)) {
			t.Errorf("after %x a good packet is not opened", packet)
		}
	})
}

// BenchmarkOpen is what the protection of one G.711 packet of 20 ms costs.
//
//	go test -run '^$' -bench Open -benchmem ./media
func BenchmarkOpen(b *testing.B) {
	for _, suite := range allSuites {
		b.Run(string(suite), func(b *testing.B) {
			g, s := newGuard(b, sdesOf(b, suite, 1)), newSealer(b, suite, keyFor(b, suite, 1))
			side := &g.sides[sideRTP]
			const batch = 1000
			packets := make([][]byte, batch)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%batch == 0 {
					b.StopTimer()
					for i := range packets {
						packets[i] = s.rtp(5, uint16(n+i))
					}
					b.StartTimer()
				}
				if _, v := g.open(side, false, 0, packets[n%batch]); v != opened {
					b.Fatal(v)
				}
			}
		})
	}
}
