package codec

import (
	"fmt"

	"github.com/thesyncim/gopus"
)

// opusRates are the sample rates that an Opus decoder gives, in rising order (RFC 6716 section 2).
var opusRates = [...]int{8000, 12000, 16000, 24000, 48000}

// opusCodec is Opus as RFC 7587 has it in RTP: the clock is always 48000 and the channels are always 2, whatever is sent. The
// rate that a sender says it captures at (sprop-maxcapturerate, section 6.1) says how much of the band is worth keeping; the one at
// which it plays (maxplaybackrate) is about what others send.
func opusCodec(f Format) (Codec, bool) {
	if f.ClockRate != 48000 || f.Channels != 2 {
		return Codec{}, false
	}
	rate := 48000
	// A value that is no rate, or that RFC 7587 does not allow, limits nothing.
	if hz, ok := number(f.Params, "sprop-maxcapturerate", rate); ok && hz >= opusRates[0] {
		rate = min(rate, hz)
	}
	for _, r := range opusRates {
		if rate <= r {
			rate = r
			break
		}
	}
	return Codec{Name: "opus", ClockRate: 48000, Rate: rate, New: func() (Decoder, error) { return newOpus(rate) }}, true
}

// opus decodes to one channel. The decoding itself is the library's; what the library would make up is not asked of it or
// taken out again.
type opus struct {
	rate int
	lib  *gopus.Decoder
	// afterCELT says that the last packet was of the mode without linear prediction, which redundancy cannot continue.
	afterCELT bool
	packet    opusPacket
	copy      [1 + maxOpusFrame]byte // a packet of which redundancy is read
	recovered []float32
}

func newOpus(rate int) (*opus, error) {
	d := &opus{rate: rate, recovered: make([]float32, rate*60/1000)}
	return d, d.renew()
}

// renew makes the library's decoder.
func (d *opus) renew() error {
	lib, err := gopus.NewDecoder(gopus.DecoderConfig{
		SampleRate:       d.rate,
		Channels:         1,
		MaxPacketSamples: d.rate * maxOpusTenths / 10000,
		MaxPacketBytes:   maxOpusPacket,
	})
	if err != nil {
		return fmt.Errorf("make Opus decoder at %d Hz: %w", d.rate, err)
	}
	d.lib, d.afterCELT = lib, false
	return nil
}

// Reset forgets what came before.
func (d *opus) Reset() {
	d.lib.Reset()
	d.afterCELT = false
}

// Frames lists the frames of a packet. One that the encoder left out is Quiet.
func (d *opus) Frames(dst []Frame, payload []byte) ([]Frame, error) {
	var p opusPacket
	if err := p.parse(payload); err != nil {
		return dst, err
	}
	for i := range p.count {
		f := Frame{Samples: p.samples(d.rate)}
		if p.quiet(i) {
			f.Kind = Quiet
		}
		dst = append(dst, f)
	}
	return dst, nil
}

// Decode decodes a packet. A frame that was left out is decoded too, since the next one continues from what the decoder makes
// of it; but what it makes is not kept.
func (d *opus) Decode(dst []int16, payload []byte) ([]int16, error) {
	p := &d.packet
	if err := p.parse(payload); err != nil {
		return dst, err
	}
	each := p.samples(d.rate)
	dst, out := extend(dst, each*p.count)
	n, err := d.guard(func() (int, error) { return d.lib.DecodeInt16(payload, out) })
	if err == nil && n != len(out) {
		err = fmt.Errorf("got %d samples, want %d", n, len(out))
	}
	if err != nil {
		clear(out)
		return dst, fmt.Errorf("decode Opus packet of %d bytes, which is now silence: %w", len(payload), err)
	}
	d.afterCELT = p.celt()
	for i := range p.count {
		if p.quiet(i) {
			clear(out[i*each : (i+1)*each])
		}
	}
	return dst, nil
}

// guard calls the library. A panic of its, which only a hostile packet could cause, costs this stream its past and no more.
func (d *opus) guard(call func() (int, error)) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the Opus library panicked, the decoder starts anew: %v", p)
			if e := d.renew(); e != nil {
				err = e
			}
		}
	}()
	return call()
}
