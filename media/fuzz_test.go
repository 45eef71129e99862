package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp"

	"github.com/greffier/greffier/media/codec"
)

func FuzzRTP(f *testing.F) {
	good := voice{to: 0.02, frequency: 440}.packets()[0].bytes()
	f.Add(good)
	f.Add([]byte{0xA0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9, 9, 0, 3})
	f.Add([]byte{0x91, 0x80, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0x12, 0x34, 0, 1, 1, 2, 3, 4, 5})
	f.Add([]byte{0x90, 0x80, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xBE, 0xDE, 0, 1, 0x10, 0xFF, 0, 0, 7})
	f.Add(good[:12])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, ok := parseRTP(b)
		var p rtp.Packet
		err := p.Unmarshal(bytes.Clone(b))
		if len(b) > 0 && b[0]>>6 != rtpVersion {
			if ok {
				t.Fatal("another version is taken")
			}
			return
		}
		// The other parser also reads what is in a header extension, and does not mind padding of no bytes.
		extension, padded := len(b) > 0 && b[0]&0x10 != 0, len(b) > 0 && b[0]&0x20 != 0
		if ok != (err == nil) && !(ok && extension) && !(!ok && padded && b[len(b)-1] == 0) {
			t.Fatalf("taken: %v, by pion: %v", ok, err)
		}
		if !ok || err != nil {
			return
		}
		want := rtpHeader{p.PayloadType, p.SequenceNumber, p.Timestamp, p.SSRC, p.Marker}
		if h != want || !bytes.Equal(payload, p.Payload) {
			t.Fatalf("%+v with %d bytes, pion has %+v with %d", h, len(payload), want, len(p.Payload))
		}
	})
}

func FuzzUnmarshalBlock(f *testing.F) {
	for _, b := range goldenBlocks {
		f.Add(b.Marshal(nil))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		b, err := UnmarshalBlock(p)
		if err != nil {
			return
		}
		if !bytes.Equal(b.Marshal(nil), p) {
			t.Fatal("it is not the same when it is written again")
		}
		var a Assembly
		a.Add(b)
		late := b
		late.Late, late.Channel = true, 0
		a.Add(b)
		plan := a.Finish()
		if plan.Samples > MaxBlockSamples+EdgeSnap {
			return // silence up to a block far away
		}
		out := new(counter)
		if err := plan.Write(out, sequence(b, b)); err != nil || int64(*out) != plan.DataBytes() {
			t.Fatalf("wrote %d bytes of %d: %v", *out, plan.DataBytes(), err)
		}
	})
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

func sequence(blocks ...Block) iter.Seq2[Block, error] {
	return func(yield func(Block, error) bool) {
		for _, b := range blocks {
			if !yield(b, nil) {
				return
			}
		}
	}
}

// invariant is a sink that checks what every recording promises.
type invariant struct {
	t        *testing.T
	assembly Assembly
	blocks   [][]byte
	end      int64
	fails    uint
}

func (s *invariant) Append(b *Block) error {
	if s.fails>>1&1 != 0 && len(s.blocks)%5 == 4 {
		s.fails >>= 2
		return errDisk
	}
	if want := b.Samples * b.frameBytes(); len(b.Data) != want || b.Samples <= 0 {
		s.t.Fatalf("%d bytes in a block of %d samples", len(b.Data), b.Samples)
	}
	if b.Late {
		if b.End() > s.end || b.Start < s.end-LateLimit {
			s.t.Fatalf("a patch from %d to %d, when %d is committed", b.Start, b.End(), s.end)
		}
	} else {
		if b.Start < s.end {
			s.t.Fatalf("a block from %d, when %d is committed", b.Start, s.end)
		}
		s.end = b.End()
	}
	p := b.Marshal(nil)
	back, err := UnmarshalBlock(p)
	if err != nil {
		s.t.Fatal(err)
	}
	s.assembly.Add(back)
	if len(s.blocks) < 10000 {
		s.blocks = append(s.blocks, p)
	}
	return nil
}

// FuzzTimeline drives a timeline with what a program of 8-byte instructions says.
func FuzzTimeline(f *testing.F) {
	f.Add([]byte("\x00\x01\x14\x00\x01\x00\xa0\x00\x00\x02\x14\x00\x01\x00\xa0\x00\x07\x00\xff\x00\x00\x00\x00\x00"))
	var long []byte
	for i := range 200 {
		long = append(long, byte(i%3), byte(i*7), byte(i%40), byte(i%11), byte(i%5), byte(i%17), byte(i), byte(i/3))
	}
	f.Add(long)
	f.Fuzz(func(t *testing.T, program []byte) {
		sink := &invariant{t: t, end: -preroll}
		if len(program) > 0 {
			sink.fails = uint(program[0])
		}
		line := newTimeline(startTime, 1, []Stream{fuzzStream(0), fuzzStream(1), stream1(0)}, sink)
		if len(program) > 1 && program[1]&1 != 0 {
			line.inBand, line.digits = true, func(p keyPress) bool { return p.stream == 1 }
		}
		now, sequence, stamp, leaps := startTime, uint16(0), uint32(0), 0
		for len(program) >= 8 && len(sink.blocks) < 2000 {
			op := program[:8]
			program = program[8:]
			now += int64(op[2]) * 1e6
			sequence += uint16(int8(op[3])) * uint16(op[4]&1*99+1)
			stamp += uint32(int32(int8(op[5]))) << (op[4] >> 3)
			switch op[0] % 10 {
			default:
				b := []byte{0x80, []byte{0, 8, 126, 101, 9, 96, 100, 111}[op[1]>>2%8]}
				b = binary.BigEndian.AppendUint16(b, sequence)
				b = binary.BigEndian.AppendUint32(b, stamp)
				b = binary.BigEndian.AppendUint32(b, uint32(op[1]>>5&1))
				arrival := now + int64(int8(op[7]))*5e6
				line.packet(int(op[1]%4), arrival, sourceAddr, append(b, make([]byte, int(op[6])*2)...))
				stamp += uint32(op[6]) * 2
				sequence++
			case 6:
				if leaps++; leaps < 6 {
					now += int64(op[6]) * 1e8
				}
			case 7:
				line.cut(now)
			case 8:
				line.pause(now-int64(op[6])*1e7, op[1]&1 == 0, Cause(op[5:7]))
			case 9:
				streams := []Stream{stream1(0), stream1(1), stream1(0), stream1(int(op[1] % 8))}
				streams[op[6]%4].Active = false
				line.update(now-int64(op[7])*1e7, streams)
			}
			for _, c := range line.channels {
				if len(c.data) > 2*ringSamples*MaxRate/Rate || len(c.holes) > maxHoles || len(c.notes) > maxNotes {
					t.Fatalf("a channel of %d bytes, %d holes, %d notes", len(c.data), len(c.holes), len(c.notes))
				}
			}
			for _, s := range line.streams {
				if d := &s.decoder; len(d.bytes) > maxWaiting || len(d.list) > maxWaitingPackets {
					t.Fatalf("%d packets wait, of %d bytes", len(d.list), len(d.bytes))
				}
			}
			if len(line.epochs) > maxEpochs || cap(line.scratch) > 2*ringSamples*MaxRate/Rate*len(line.channels) {
				t.Fatalf("%d epochs, %d bytes of scratch", len(line.epochs), cap(line.scratch))
			}
		}
		sink.finish(line.close(now))
	})
}

// fuzzStream has formats of several clocks, with decoders that have a memory.
func fuzzStream(channel int) Stream {
	s := stream1(channel)
	s.Events = []uint8{126}
	s.Formats = append(s.Formats, known(9, "G722", 8000), Redundancy(96, 8000), known(100, "L16", 11025), known(101, "L16", 16000), known(111, "opus", 48000))
	return s
}

func (s *invariant) finish(sum Summary) {
	plan := s.assembly.Finish()
	if plan.Samples < 0 || plan.Channels > MaxChannels || len(s.blocks) == 10000 {
		s.t.Fatalf("%+v", plan)
	}
	last := Gap{Channel: -1}
	for _, g := range plan.Gaps {
		if g.Start < 0 || g.Start+g.Samples > plan.Samples || g.Samples <= 0 || g.Cause == causeOpen ||
			g.Channel == last.Channel && g.Start < last.Start+last.Samples || g.Channel < last.Channel {
			s.t.Fatalf("gap %+v after %+v in %d samples", g, last, plan.Samples)
		}
		last = g
	}
	out := new(counter)
	err := plan.Write(out, func(yield func(Block, error) bool) {
		for _, p := range s.blocks {
			b, err := UnmarshalBlock(p)
			if !yield(b, err) {
				return
			}
		}
	})
	if err != nil || int64(*out) != plan.DataBytes() {
		s.t.Fatalf("wrote %d bytes of %d: %v", *out, plan.DataBytes(), err)
	}
}

// The stored form is not to change: these bytes were written by version 1.
var goldenBlocks = []Block{
	{Start: -1600, Samples: 3, Rate: 8000, Channels: 2, Encoding: codec.PCMU, Data: []byte{1, 2, 3, 4, 5, 6},
		Gaps: []Gap{{Channel: 1, Start: -1599, Samples: 2, Cause: CauseLost}}},
	{Start: 12345678901, Samples: 2, Rate: 8000, Channels: 3, Encoding: codec.L16, Data: []byte{1, 2, 3, 4}, Late: true, Channel: 2},
}

var goldenBytes = []string{
	"0101000200000100c0f9ffffffffffff03000000401f0000" + "01040100000002000000" + "6c6f7374" + "010203040506",
	"0103010302000000351cdcdf0200000002000000401f0000" + "01020304",
}

func TestStoredForm(t *testing.T) {
	for i, b := range goldenBlocks {
		p := b.Marshal(nil)
		if got := fmt.Sprintf("%x", p); got != goldenBytes[i] {
			t.Errorf("block %d:\n got %s\nwant %s", i, got, goldenBytes[i])
		}
		back, err := UnmarshalBlock(p)
		if d := cmp.Diff(b, back); err != nil || d != "" {
			t.Errorf("block %d: %v (-want +got):\n%s", i, err, d)
		}
		for n := range p {
			if _, err := UnmarshalBlock(p[:n]); err == nil {
				t.Errorf("block %d, cut to %d bytes, is read", i, n)
			}
		}
	}
	p := goldenBlocks[0].Marshal(nil)
	p[0] = 2
	if _, err := UnmarshalBlock(p); err == nil || errors.Is(err, errBlock) {
		t.Errorf("a newer version: %v", err)
	}
}

func TestPlanReportsErrors(t *testing.T) {
	var a Assembly
	a.Add(goldenBlocks[0])
	plan := a.Finish()
	err := plan.Write(io.Discard, func(yield func(Block, error) bool) { yield(Block{}, errDisk) })
	if !errors.Is(err, errDisk) {
		t.Errorf("%v", err)
	}
	if err := plan.Write(full{}, sequence(goldenBlocks[0])); !errors.Is(err, errDisk) {
		t.Errorf("%v", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errDisk }

// null takes blocks and keeps nothing.
type null struct{ buf []byte }

func (n *null) Append(b *Block) error {
	n.buf = b.Marshal(n.buf[:0])
	return nil
}

// rig gives the packets of two legs, for ever, to one timeline, and cuts every 200 ms.
type rig struct {
	line   *timeline
	src    netip.Addr
	packet [2][]byte
	n      int64
}

func newRig(sink Sink) *rig {
	r := &rig{line: newTimeline(startTime, 2, twoStreams(), sink), src: sourceAddr}
	for i := range r.packet {
		r.packet[i] = voice{to: 0.02, frequency: tones[i]}.packets()[0].bytes()
	}
	return r
}

func (r *rig) next() {
	stream, n := int(r.n&1), r.n>>1
	b := r.packet[stream]
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	binary.BigEndian.PutUint32(b[4:], uint32(n*160))
	at := startTime + (n+1)*20e6
	r.line.packet(stream, at, r.src, b)
	if r.n%20 == 19 {
		r.line.cut(at)
	}
	r.n++
}

func TestPacketsAllocateNothing(t *testing.T) {
	for name, r := range map[string]*rig{"PCMU": newRig(&null{}), "G722 beside PCMU": newWideRig(&null{})} {
		for range 1000 {
			r.next()
		}
		if n := testing.AllocsPerRun(2000, r.next); n != 0 {
			t.Errorf("%s: %v allocations per packet", name, n)
		}
	}
}

// newWideRig has one side that is decoded, so that the other is resampled.
func newWideRig(sink Sink) *rig {
	r := newRig(sink)
	r.line.streams, r.line.epochs = nil, nil
	r.line.enter(epoch{at: startTime - maxElapsed/2, pos: -preroll}, []Stream{fuzzStream(0), stream1(1)})
	r.packet[0][1] = 9
	return r
}

// BenchmarkTimelinePacket is one packet of 20 ms, with its share of the cut and of the block's stored form.
func BenchmarkTimelinePacket(b *testing.B) {
	r := newRig(&null{})
	b.ReportAllocs()
	for b.Loop() {
		r.next()
	}
}
