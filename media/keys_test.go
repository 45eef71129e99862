package media_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/srtp/v3"

	"github.com/greffier/greffier/media"
)

const (
	eventType = 101
	redType   = 96
)

// A listener notes the keys that it is told of, and wants silence from the nth on; 0: never.
type listener struct {
	silence int

	mu    sync.Mutex
	heard []media.Digit
}

func (l *listener) hear(d media.Digit) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, d)
	return len(l.heard) == l.silence
}

func (l *listener) all() []media.Digit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.heard)
}

// keys lists what was heard: stream and key of each, and a t when it was heard as tones.
func (l *listener) keys() (s string) {
	for _, d := range l.all() {
		s += fmt.Sprintf("%d%c", d.Stream, d.Key)
		if d.InBand {
			s += "t"
		}
		s += " "
	}
	return s
}

// keyed is a stream that has events too, by themselves and beside its sound (RFC 2198).
func keyed(channel int) media.Stream {
	s := pcmu(channel)
	s.Events = []uint8{eventType}
	s.Formats = append(s.Formats, media.Redundancy(redType, 8000))
	return s
}

func openKeyed(t testing.TB, r *media.Receiver, sink media.Sink, l *listener, streams ...media.Stream) *media.Recording {
	t.Helper()
	rec, err := r.Open(media.Open{Start: time.Now(), Channels: 2, Streams: streams, Sink: sink, Digits: l.hear, InBand: true})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// An update is one event of a packet (RFC 4733 section 2.3).
func update(code uint8, over bool, duration uint16) []byte {
	b := []byte{code, 10, 0, 0}
	if over {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], duration)
	return b
}

// packet builds one packet, and counts it.
func (p *phone) packet(payloadType uint8, marker bool, stamp uint32, payload []byte) []byte {
	h := p.h
	h.PayloadType, h.Marker, h.Timestamp = payloadType, marker, stamp
	n, err := h.MarshalTo(p.buf)
	if err != nil {
		p.t.Error(err)
	}
	p.h.SequenceNumber++
	return append(bytes.Clone(p.buf[:n]), payload...)
}

// press is all packets of a key that is pressed for four frames.
func (p *phone) press(code uint8) (packets [][]byte) {
	stamp := p.h.Timestamp
	for i := range 6 {
		packets = append(packets, p.packet(eventType, i == 0, stamp, update(code, i >= 3, frameSize*uint16(min(i+1, 4)))))
	}
	p.h.Timestamp += 8 * frameSize
	return packets
}

func (p *phone) rawAll(packets ...[]byte) {
	for _, b := range packets {
		p.raw(b)
	}
}

// Each press is told once, by its first packet that comes, whatever else comes of it.
func TestEventsAreToldOnce(t *testing.T) {
	tests := []struct {
		name string
		send func(p *phone)
		want string
	}{
		{"whole presses", func(p *phone) { p.rawAll(p.press(1)...); p.rawAll(p.press(1)...); p.rawAll(p.press(11)...) }, "11 11 1# "},
		{"every key", func(p *phone) {
			for code := range uint8(16) {
				p.rawAll(p.press(code)...)
			}
		}, "10 11 12 13 14 15 16 17 18 19 1* 1# 1A 1B 1C 1D "},
		{"no other event", func(p *phone) { p.rawAll(p.press(16)...); p.rawAll(p.press(255)...) }, ""},
		{"not an event", func(p *phone) { p.raw(p.packet(eventType, true, 1, []byte{1, 2, 3})) }, ""},
		{"the first packets are lost", func(p *phone) { p.rawAll(p.press(2)[2:]...) }, "12 "},
		{"only the last one comes", func(p *phone) { p.rawAll(p.press(2)[5:]...) }, "12 "},
		{"only the first one comes", func(p *phone) { p.rawAll(p.press(2)[:1]...); p.rawAll(p.press(2)[:1]...) }, "12 12 "},
		{"packets come twice", func(p *phone) {
			for _, b := range p.press(3) {
				p.rawAll(b, b)
			}
		}, "13 "},
		{"they overtake one another", func(p *phone) {
			b := p.press(4)
			slices.Reverse(b)
			p.rawAll(b...)
		}, "14 "},
		{"the end of one comes after the beginning of the next", func(p *phone) {
			a, b := p.press(5), p.press(6)
			p.rawAll(a[:4]...)
			p.rawAll(b[0], a[4], b[1], a[5])
			p.rawAll(b[2:]...)
		}, "15 16 "},
		{"of a source of its own", func(p *phone) {
			q := *p
			q.h.SSRC, q.h.SequenceNumber = 77, 9
			p.send(filled(0x21))
			for _, b := range q.press(7) {
				p.send(filled(0x21))
				p.raw(b)
			}
		}, "17 "},
		{"held down for 9 s", func(p *phone) {
			first, second := p.h.Timestamp, p.h.Timestamp+0xFFFF
			p.raw(p.packet(eventType, true, first, update(8, false, 0xFF00)))
			p.raw(p.packet(eventType, false, first, update(8, false, 0xFFFF)))
			p.raw(p.packet(eventType, false, second, update(8, false, 160)))
			p.raw(p.packet(eventType, false, first, update(8, false, 0xFFFF)))
			p.raw(p.packet(eventType, false, second, update(8, true, 320)))
		}, "18 "},
		{"two in one packet", func(p *phone) {
			p.raw(p.packet(eventType, true, 1000, append(update(1, true, 400), update(1, false, 160)...)))
			p.raw(p.packet(eventType, false, 1400, update(1, true, 400)))
		}, "11 11 "},
		{"beside the sound, once more", func(p *phone) {
			// Before the sound of its time, the event that began 160 earlier (RFC 2198 section 3).
			event := update(9, false, 160)
			red := func(stamp uint32, back int) []byte {
				offset := 160 * back
				head := []byte{0x80 | eventType, byte(offset >> 6), byte(offset << 2), byte(len(event)), 0}
				return p.packet(redType, false, stamp, slices.Concat(head, event, filled(0x21)))
			}
			p.rawAll(red(10160, 1), red(10320, 2))
		}, "19 "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, _ := startReceiver(t, media.Config{})
			l, k := new(listener), new(tape)
			rec := openKeyed(t, r, k, l, keyed(0), keyed(1))
			p := newPhone(t, loopback, rec.Ports()[1])
			begin := time.Now()
			test.send(p)
			eventually(t, "all is read", func() bool { return len(l.all()) >= len(strings.Fields(test.want)) })
			closeRecording(t, rec)
			if got := l.keys(); got != test.want {
				t.Errorf("told of %q, want %q", got, test.want)
			}
			for _, d := range l.all() {
				if d.Channel != 1 || d.At.Before(begin.Add(-time.Millisecond)) || d.At.After(time.Now()) {
					t.Errorf("%+v; sent from %v on", d, begin)
				}
			}
		})
	}
}

// The time of a press is that at which its first packet came to the kernel, however late it is read.
func TestEventTimes(t *testing.T) {
	r, err := media.NewReceiver(media.Config{}) // not running: everything waits
	if err != nil {
		t.Fatal(err)
	}
	l := new(listener)
	rec := openKeyed(t, r, new(tape), l, keyed(0), keyed(1))
	p := newPhone(t, loopback, rec.Ports()[0])
	var at []time.Time
	pace(time.Now(), 20, func(i int) {
		if i%10 == 0 {
			at = append(at, time.Now())
			p.raw(p.press(1)[0])
		} else {
			p.send(filled(0x21))
		}
	})
	closeRecording(t, rec)
	heard := l.all()
	if len(heard) != len(at) {
		t.Fatalf("told of %q", l.keys())
	}
	for i := range at {
		if late := heard[i].At.Sub(at[i]); media.KernelTime && (late < -time.Millisecond || late > frame) {
			t.Errorf("press %d is said to have come %v after it was sent", i, late)
		}
	}
}

// Who sends from elsewhere, or without the key, presses nothing.
func TestEventsOfStrangers(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	l := new(listener)
	key := bytes.Repeat([]byte{1}, 30)
	rec := openKeyed(t, r, new(tape), l, keyed(0), secured(keyed(1), key))
	newPhone(t, stranger, rec.Ports()[0]).rawAll(newPhone(t, loopback, rec.Ports()[0]).press(1)...)
	p := newPhone(t, loopback, rec.Ports()[1])
	p.rawAll(p.press(2)...)
	seal := func(ctx *srtp.Context, packets [][]byte) {
		for _, b := range packets {
			sealed, err := ctx.EncryptRTP(nil, b, nil)
			if err != nil {
				t.Fatal(err)
			}
			p.raw(sealed)
		}
	}
	seal(sealing(t, bytes.Repeat([]byte{2}, 30)), p.press(3))
	seal(sealing(t, key), p.press(4))
	s := closeRecording(t, rec).Streams
	if got := l.keys(); got != "14 " {
		t.Errorf("told of %q", got)
	}
	if s[0].Foreign != 6 || s[1].AuthFailed != 12 || s[1].UnknownPayload != 6 {
		t.Errorf("%+v", s)
	}
}

// Nobody listens: then events are what they always were.
func TestNobodyListens(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	rec := openRecording(t, r, new(tape), keyed(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	p.send(filled(0x21))
	p.rawAll(p.press(1)...)
	if s := closeRecording(t, rec).Streams[0]; s.UnknownPayload != 6 || s.Packets != 7 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
}

// play sends coded sound in real time, a frame each 20 ms, and calls each before every frame.
func (p *phone) play(coded []byte, each func(i int)) {
	pace(time.Now(), len(coded)/frameSize, func(i int) {
		if each != nil {
			each(i)
		}
		p.send(coded[i*frameSize:][:frameSize])
	})
}

// Keys in the sound are told once, with the arrival of the packet in which they began; also when packets are lost, or the same press
// comes as an event too.
func TestTonesAreToldOnce(t *testing.T) {
	const on, off = 5, 5
	sound := media.Dial("159#", on, off)
	for name, harm := range map[string]func(p *phone, i int){
		"all comes": nil,
		"a packet of each is lost": func(p *phone, i int) {
			if i%(on+off) == 3 {
				p.h.SequenceNumber, p.h.Timestamp = p.h.SequenceNumber+1, p.h.Timestamp+frameSize
			}
		},
		"a packet of each comes twice": func(p *phone, i int) {
			if i%(on+off) == 3 {
				p.h.SequenceNumber, p.h.Timestamp = p.h.SequenceNumber-1, p.h.Timestamp-frameSize
				p.send(sound[(i-1)*frameSize:][:frameSize])
			}
		},
		"as events too": func(p *phone, i int) {
			if i%(on+off) == 2 {
				stamp := p.h.Timestamp
				p.rawAll(p.press([]uint8{1, 5, 9, 11}[i/(on+off)])...)
				p.h.Timestamp = stamp
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := startReceiver(t, media.Config{})
			l, k := new(listener), new(tape)
			rec := openKeyed(t, r, k, l, keyed(0), keyed(1))
			p := newPhone(t, loopback, rec.Ports()[1])
			var at []time.Time
			p.play(sound, func(i int) {
				if harm != nil {
					harm(p, i)
				}
				if i%(on+off) == 0 {
					at = append(at, time.Now())
				}
			})
			closeRecording(t, rec)
			heard := l.all()
			if len(heard) != 4 {
				t.Fatalf("told of %q", l.keys())
			}
			for i, d := range heard {
				if d.Stream != 1 || d.Channel != 1 || d.Key != "159#"[i] {
					t.Errorf("press %d: %+v", i, d)
				}
				if late := d.At.Sub(at[i]); d.InBand && media.KernelTime && (late < -time.Millisecond || late > frame/2) {
					t.Errorf("key %c is said to have come %v after its first packet was sent", d.Key, late)
				}
			}
		})
	}
}

// The seventh key silences both channels from its beginning on, without anybody's doing.
func TestSeventhKeySilences(t *testing.T) {
	const (
		on, off  = 4, 4
		lawful   = 0x21
		unlawful = 0x22
		seventh  = 6 * (on + off) // frames
	)
	tones := media.Dial("4970123456", on, off)
	for name, inBand := range map[string]bool{"events": false, "tones": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := startReceiver(t, media.Config{})
			l, k := &listener{silence: 7}, new(tape)
			rec := openKeyed(t, r, k, l, keyed(0), keyed(1))
			mute, talk := newPhone(t, loopback, rec.Ports()[0]), newPhone(t, loopback, rec.Ports()[1])
			begin := time.Now()
			var at time.Time // of the seventh key
			var press [][]byte
			pace(begin, len(tones)/frameSize, func(i int) {
				said := filled(lawful)
				if i >= seventh {
					said = filled(unlawful)
				}
				if i == seventh {
					at = time.Now()
				}
				// The keys are on the second stream: what came on the first one is placed already when it is looked at.
				if inBand {
					talk.send(tones[i*frameSize:][:frameSize])
				} else {
					if i%(on+off) == 0 {
						press = talk.press(uint8(i / (on + off)))
					}
					if n := i % (on + off); n < len(press) {
						talk.raw(press[n])
					} else {
						talk.send(said)
					}
				}
				mute.send(said)
			})
			closeRecording(t, rec)
			if n := len(l.all()); !inBand && n != 10 || inBand && n != 7 {
				t.Errorf("told of %q", l.keys()) // nothing of the sound is looked at once it is silent
			}
			if n := countOn(k, 0, unlawful); n > 0 && (media.KernelTime || n > frameSize) { // else it comes when it is read, before the key
				t.Errorf("%d samples of what was said from the seventh key on are in the blocks", n)
			}
			if n := countOn(k, 0, lawful); n < (seventh-1)*frameSize {
				t.Errorf("%d samples of before are in the blocks, want %d", n, seventh*frameSize)
			}
			for channel := range 2 {
				g := lastGap(k, channel)
				sent := at.Sub(begin)
				if g.Cause != media.CausePaused || media.KernelTime && (position(g.Start) < sent-2*frame || position(g.Start) > sent+frame/2) {
					t.Errorf("channel %d: %+v begins at %v; the key was pressed at %v", channel, g, position(g.Start), sent)
				}
				if n := soundAfter(k, channel, g.Start); n > 0 {
					t.Errorf("channel %d has %d samples of sound in the pause", channel, n)
				}
			}
		})
	}
}

// countOn counts a byte on one channel.
func countOn(k *tape, channel int, c byte) (n int) {
	for _, b := range k.all() {
		for i := channel; !b.Late && i < len(b.Data); i += b.Channels {
			if b.Data[i] == c {
				n++
			}
		}
	}
	return n
}

func position(p int64) time.Duration { return time.Duration(p) * time.Second / media.Rate }

// lastGap joins the gaps at the end of a channel that have one cause.
func lastGap(k *tape, channel int) (last media.Gap) {
	for _, b := range k.all() {
		for _, g := range b.Gaps {
			switch {
			case g.Channel != channel || g.Samples == 0:
			case g.Cause == last.Cause && last.Start+last.Samples == g.Start:
				last.Samples += g.Samples
			default:
				last = g
			}
		}
	}
	return last
}

// soundAfter counts the samples of a channel from a position on that are not silent.
func soundAfter(k *tape, channel int, from int64) (n int) {
	for _, b := range k.all() {
		for i := range b.Samples {
			if c := b.Data[i*b.Channels+channel]; !b.Late && b.Start+int64(i) >= from && c != 0xFF && c != 0x7F {
				n++
			}
		}
	}
	return n
}

// While nothing is kept, the sound is not looked at; events are told, so that a key may end it.
func TestKeysInAPause(t *testing.T) {
	const on, off = 4, 4
	tones := media.Dial("12", on, off)
	paused := func(rec *media.Recording, on bool) error {
		return rec.SetPaused(on, media.CausePaused, time.Time{})
	}
	active := func(rec *media.Recording, on bool) error {
		s := keyed(0)
		s.Active = !on
		return rec.Update([]media.Stream{s})
	}
	for name, silence := range map[string]func(*media.Recording, bool) error{"paused": paused, "inactive": active} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := startReceiver(t, media.Config{DrainInterval: 100 * time.Millisecond})
			l := new(listener)
			rec := openKeyed(t, r, new(tape), l, keyed(0))
			p := newPhone(t, loopback, rec.Ports()[0])
			p.play(tones, nil)
			if err := silence(rec, true); err != nil {
				t.Fatal(err)
			}
			p.play(tones, nil)
			p.rawAll(p.press(3)...)
			if err := silence(rec, false); err != nil {
				t.Fatal(err)
			}
			p.play(tones, nil)
			closeRecording(t, rec)
			if got := l.keys(); got != "01t 02t 03 01t 02t " {
				t.Errorf("told of %q", got)
			}
		})
	}
}

// A pause that a key began is not begun anew by who learns of it, and ends when it is ended.
func TestPauseOfAKeyGoesOn(t *testing.T) {
	const before, during, after = 0x21, 0x22, 0x23
	r, _ := startReceiver(t, media.Config{})
	l, k := &listener{silence: 1}, new(tape)
	rec := openKeyed(t, r, k, l, keyed(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	say := func(c byte) { p.play(bytes.Repeat([]byte{c}, 20*frameSize), nil) }
	say(before)
	begin := time.Now()
	p.rawAll(p.press(1)...)
	say(during)
	if err := rec.SetPaused(true, "another", time.Time{}); err != nil { // later, and for another cause
		t.Fatal(err)
	}
	say(during)
	if err := rec.SetPaused(true, "another", l.all()[0].At); err != nil {
		t.Fatal(err)
	}
	say(during)
	if err := rec.SetPaused(false, "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	end := time.Now()
	p.h.Timestamp += 1
	say(after)
	closeRecording(t, rec)
	if k.contains(during) || !k.contains(before) || !k.contains(after) {
		t.Error("what was said in the pause is kept, or what was not is not")
	}
	var paused int64
	for _, b := range k.all() {
		for _, g := range b.Gaps {
			if g.Cause == "another" {
				t.Errorf("%+v", g)
			}
			if g.Cause == media.CausePaused && g.Channel == 0 {
				paused += g.Samples
			}
		}
	}
	if d := position(paused) - end.Sub(begin); d < -2*frame || d > 2*frame {
		t.Errorf("a pause of %v, want %v", position(paused), end.Sub(begin))
	}
}

// A press belongs to one recording: to the one in whose time it began, with the stream that it has there.
func TestYieldKeys(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	one, two := new(listener), new(listener)
	rec := openKeyed(t, r, new(tape), one, keyed(0), keyed(1))
	p, q := newPhone(t, loopback, rec.Ports()[0]), newPhone(t, loopback, rec.Ports()[1])
	tones := media.Dial("1235", 6, 6)
	half := (2*12 + 4) * frameSize // in the third key
	var press [][]byte
	p.play(tones[:half], func(i int) {
		if i == half/frameSize-2 {
			press = q.press(7)
			q.rawAll(press[:2]...)
		}
	})
	next, err := rec.Yield(time.Time{}, []int{1, 0}, media.Open{Channels: 2, Streams: []media.Stream{keyed(0), keyed(1)}, Sink: new(tape), Digits: two.hear, InBand: true})
	if err != nil {
		t.Fatal(err)
	}
	q.rawAll(press[2:]...)
	p.play(tones[half:], nil)
	q.rawAll(q.press(8)...)
	closeRecording(t, rec)
	closeRecording(t, next)
	if a, b := one.keys(), two.keys(); a != "01t 02t 03t 17 " && a != "01t 02t 17 03t " || b != "15t 08 " && b != "08 15t " {
		t.Errorf("told the first of %q, the next of %q", a, b)
	}
}
