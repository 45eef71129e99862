package media

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/greffier/greffier/media/codec"
)

// The stored form of a block, version 1. Numbers are little endian.
//
//	 0  1  version, 1
//	 1  1  encoding: 1 PCMU, 2 PCMA, 3 L16
//	 2  1  flags: bit 0 a late patch; the others are 0
//	 3  1  channels of the recording, 1 to MaxChannels
//	 4  1  channel of a patch, else 0
//	 5  1  0
//	 6  2  number of gaps
//	 8  8  first position, signed; positions are eighths of a millisecond
//	16  4  positions, at most MaxBlockSamples
//	20  4  rate in hertz, a multiple of 8000
//	24     the gaps, each:
//	       0  1  channel
//	       1  1  length of the cause in bytes, n
//	       2  4  first position, counted from the block's first
//	       6  4  positions
//	      10  n  the cause
//	       the data, to the end: positions × rate/8000 × channels × bytes per sample (of one channel for a patch)
const (
	blockVersion  = 1
	blockFixed    = 24 // bytes before the gaps
	gapFixed      = 10 // bytes before the cause
	flagLate      = 1
	maxBlockGaps  = 1<<16 - 1
	maxCauseBytes = 255
	// MaxBlockSamples bounds a block that is read back, in positions: two minutes.
	MaxBlockSamples = 120 * Rate
)

var errBlock = errors.New("damaged block")

// channelsInData is the number of channels that Data interleaves.
func (b *Block) channelsInData() int {
	if b.Late {
		return 1
	}
	return b.Channels
}

// density is the samples for each position.
func (b *Block) density() int { return b.Rate / Rate }

// frameBytes is the size of a position in Data.
func (b *Block) frameBytes() int {
	return b.density() * b.channelsInData() * b.Encoding.BytesPerSample()
}

// End is the position after the last sample.
func (b *Block) End() int64 {
	return b.Start + int64(b.Samples)
}

// Marshal appends the block's stored form to dst. It allocates nothing when dst is large enough.
func (b *Block) Marshal(dst []byte) []byte {
	return append(b.MarshalHead(dst), b.Data...)
}

// MarshalHead appends the part of the stored form that Data follows, for who need not have both in one place. What does not
// fit the form is cut: more than 65,535 gaps (a block of ours has at most one per two samples), and causes of more than 255
// bytes.
func (b *Block) MarshalHead(dst []byte) []byte {
	var flags, channel byte
	if b.Late {
		flags, channel = flagLate, byte(b.Channel)
	}
	gaps := b.Gaps[:min(len(b.Gaps), maxBlockGaps)]
	dst = append(dst, blockVersion, byte(b.Encoding), flags, byte(b.Channels), channel, 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(gaps)))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.Start))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(b.Samples))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(b.Rate))
	for i := range gaps {
		cause := gaps[i].Cause[:min(len(gaps[i].Cause), maxCauseBytes)]
		dst = append(dst, byte(gaps[i].Channel), byte(len(cause)))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(gaps[i].Start-b.Start))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(gaps[i].Samples))
		dst = append(dst, cause...)
	}
	return dst
}

// UnmarshalBlock reads what Marshal wrote. Data is a part of p. It trusts nothing: every length, channel and position is
// checked, so that a block without error can be used as it is.
func UnmarshalBlock(p []byte) (Block, error) {
	if len(p) < blockFixed {
		return Block{}, fmt.Errorf("read block header: %w", errBlock)
	}
	if p[0] != blockVersion {
		return Block{}, fmt.Errorf("read block of version %d: this program knows version %d; use a newer one", p[0], blockVersion)
	}
	b := Block{
		Encoding: codec.Encoding(p[1]),
		Late:     p[2] == flagLate,
		Channels: int(p[3]),
		Channel:  int(p[4]),
		Start:    int64(binary.LittleEndian.Uint64(p[8:])),
		Samples:  int(binary.LittleEndian.Uint32(p[16:])),
		Rate:     int(binary.LittleEndian.Uint32(p[20:])),
	}
	if !b.plausible() || p[2] > flagLate || p[5] != 0 {
		return Block{}, fmt.Errorf("read block header: %w", errBlock)
	}
	rest, err := b.unmarshalGaps(p[blockFixed:], int(binary.LittleEndian.Uint16(p[6:])))
	if err != nil {
		return Block{}, err
	}
	if want := b.Samples * b.frameBytes(); len(rest) != want {
		return Block{}, fmt.Errorf("read block data: %d bytes, want %d: %w", len(rest), want, errBlock)
	}
	b.Data = rest
	return b, nil
}

// maxPosition keeps sums of positions far from overflow: eleven million years.
const maxPosition = 1 << 61

func (b *Block) plausible() bool {
	return b.Encoding.Valid() &&
		b.Channels >= 1 && b.Channels <= MaxChannels &&
		b.Channel < b.Channels && (b.Late || b.Channel == 0) &&
		b.Samples >= 0 && b.Samples <= MaxBlockSamples &&
		b.Rate >= Rate && b.Rate <= MaxRate && b.Rate%Rate == 0 && (b.Rate == Rate || b.Encoding == codec.L16) &&
		b.Start > -maxPosition && b.Start < maxPosition
}

func (b *Block) unmarshalGaps(p []byte, n int) (rest []byte, err error) {
	if n == 0 {
		return p, nil
	}
	if len(p) < n*gapFixed {
		return nil, fmt.Errorf("read gaps of block: %w", errBlock)
	}
	b.Gaps = make([]Gap, 0, n)
	for range n {
		if len(p) < gapFixed || len(p) < gapFixed+int(p[1]) {
			return nil, fmt.Errorf("read gaps of block: %w", errBlock)
		}
		first, samples := int64(binary.LittleEndian.Uint32(p[2:])), int64(binary.LittleEndian.Uint32(p[6:]))
		end := gapFixed + int(p[1])
		g := Gap{Channel: int(p[0]), Start: b.Start + first, Samples: samples, Cause: knownCause(p[gapFixed:end])}
		if g.Channel >= b.Channels || first+samples > int64(b.Samples) {
			return nil, fmt.Errorf("read gaps of block: %w", errBlock)
		}
		b.Gaps, p = append(b.Gaps, g), p[end:]
	}
	return p, nil
}

// knownCause spares the allocation of a string that this package has already.
func knownCause(b []byte) Cause {
	for _, c := range [...]Cause{CauseLost, CauseSuppressed, CauseNotStarted, CauseInactive, CausePaused, causeOpen} {
		if string(b) == string(c) {
			return c
		}
	}
	return Cause(b)
}
