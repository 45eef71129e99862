package codec_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/thesyncim/gopus"

	"github.com/greffier/greffier/media/codec"
)

var opusFormat = codec.Format{Name: "opus", ClockRate: 48000, Channels: 2}

// encodeOpus encodes samples at 48 kHz with libopus.
func encodeOpus(t testing.TB, pcm []int16, channels int, args ...string) oggOpus {
	t.Helper()
	all := append([]string{"-v", "error", "-f", "s16le", "-ar", "48000", "-ac", fmt.Sprint(channels), "-i", "-", "-c:a", "libopus"}, args...)
	return readOpus(t, output(t, little(pcm), "ffmpeg", append(all, "-f", "ogg", "-")...))
}

// libopus decodes packets with libopus to one channel, in its own manner: a band that one channel has upside down is not
// taken off the other (RFC 6716 section 4.3.4.4 would), but ffmpeg must be told so.
func libopus(t testing.TB, o oggOpus) []int16 {
	t.Helper()
	return reference(t, writeOpus(o, 1), "ffmpeg", "-v", "error", "-c:a", "libopus", "-apply_phase_inv", "0", "-f", "ogg", "-i", "-", "-f", "s16le", "-")
}

// stereo makes two channels that differ.
func stereo(left, right []int16) []int16 {
	out := make([]int16, 0, 2*len(left))
	for i, v := range left {
		out = append(out, v, right[i])
	}
	return out
}

// An opusCase is a way to encode.
type opusCase struct {
	name     string
	channels int
	args     []string
	mode     string // that all packets, but a few at the start, are in
}

var opusCases = []opusCase{
	{"SILK narrow band 20 ms", 1, []string{"-application", "voip", "-b:a", "10k", "-cutoff", "4000"}, "SILK"},
	{"SILK 10 ms", 1, []string{"-application", "voip", "-b:a", "14k", "-cutoff", "8000", "-frame_duration", "10"}, "SILK"},
	{"SILK 20 ms", 1, []string{"-application", "voip", "-b:a", "16k", "-cutoff", "8000"}, "SILK"},
	{"SILK 60 ms", 1, []string{"-application", "voip", "-b:a", "16k", "-cutoff", "8000", "-frame_duration", "60"}, "SILK"},
	{"SILK stereo 20 ms", 2, []string{"-application", "voip", "-b:a", "28k", "-cutoff", "8000"}, "SILK"},
	{"hybrid 20 ms", 1, []string{"-application", "voip", "-b:a", "24k"}, "hybrid"},
	{"hybrid 10 ms", 1, []string{"-application", "voip", "-b:a", "32k", "-frame_duration", "10"}, "hybrid"},
	{"hybrid stereo 20 ms", 2, []string{"-application", "voip", "-b:a", "40k"}, "hybrid"},
	{"CELT 20 ms", 1, []string{"-application", "audio", "-b:a", "96k"}, "CELT"},
	{"CELT 2.5 ms", 1, []string{"-application", "lowdelay", "-b:a", "96k", "-frame_duration", "2.5"}, "CELT"},
	{"CELT 10 ms", 1, []string{"-application", "lowdelay", "-b:a", "64k", "-frame_duration", "10"}, "CELT"},
	{"CELT stereo 20 ms", 2, []string{"-application", "audio", "-b:a", "128k"}, "CELT"},
	{"CELT stereo 60 ms", 2, []string{"-application", "audio", "-b:a", "160k", "-frame_duration", "60"}, "CELT"},
	{"constant rate", 1, []string{"-application", "voip", "-b:a", "24k", "-vbr", "off"}, "hybrid"},
	{"redundancy", 1, []string{"-application", "voip", "-b:a", "24k", "-fec", "1", "-packet_loss", "10", "-cutoff", "8000"}, "SILK"},
}

// mode is that of a packet's TOC (RFC 6716 table 2).
func mode(packet []byte) string {
	switch config := packet[0] >> 3; {
	case config < 12:
		return "SILK"
	case config < 16:
		return "hybrid"
	}
	return "CELT"
}

func (c opusCase) pcm() []int16 {
	if c.channels == 2 {
		return stereo(speech(48000, 2, 1), speech(48000, 2, 2))
	}
	return speech(48000, 2, 1)
}

func TestOpusAgreesWithLibopus(t *testing.T) {
	for _, c := range opusCases {
		t.Run(c.name, func(t *testing.T) {
			stream := encodeOpus(t, c.pcm(), c.channels, c.args...)
			modes := map[string]int{}
			for _, p := range stream.packets {
				modes[mode(p)]++
			}
			if modes[c.mode] < len(stream.packets)*8/10 {
				t.Fatalf("%d packets, of these %v: the encoder did not do what this case is for", len(stream.packets), modes)
			}
			want := libopus(t, stream)
			_, d := mustDecoder(t, opusFormat)
			got, _ := decodeAll(t, d, stream.packets)
			got = got[stream.preskip:]
			if len(got) < len(want) {
				t.Fatalf("%d samples, libopus has %d", len(got), len(want))
			}
			db := snr(want, got[:len(want)])
			t.Logf("%.1f dB, %v", db, modes)
			if db < 40 {
				t.Errorf("%.1f dB", db)
			}
		})
	}
}

// At each rate the decoder gives what libopus gives at 48 kHz and is then resampled.
func TestOpusAtLowerRates(t *testing.T) {
	// The sound ends at 3.4 kHz, below the transition of every filter that it goes through.
	pcm := resampled(t, speech(8000, 4, 1), 8000, 48000)
	for _, m := range []struct {
		application string
		least       float64 // decibels: the resampling within SILK turns the phase (RFC 6716 section 4.2.9), that of CELT does not
	}{{"voip", 15}, {"lowdelay", 40}} {
		stream := encodeOpus(t, pcm, 1, "-application", m.application, "-b:a", "64k", "-cutoff", "8000")
		at48 := libopus(t, stream)
		for _, rate := range []int{8000, 12000, 16000, 24000} {
			t.Run(fmt.Sprint(m.application, " ", rate), func(t *testing.T) {
				f := opusFormat
				f.Params = fmt.Sprintf("sprop-maxcapturerate=%d", rate)
				c, d := mustDecoder(t, f)
				if c.Rate != rate {
					t.Fatalf("decoder at %d Hz", c.Rate)
				}
				got, _ := decodeAll(t, d, stream.packets)
				// The library's resampling delays: the best of the near instants is taken.
				low := func(pcm []int16) []int16 { return resampled(t, resampled(t, pcm, 48000, 8000), 8000, 48000) }
				want, got := low(at48), low(resampled(t, got, rate, 48000))
				best := -100.0
				for shift := -48; shift <= 48; shift++ {
					best = max(best, snr(want[4800:len(want)-4800], got[4800+stream.preskip+shift:]))
				}
				t.Logf("%.1f dB", best)
				if best < m.least {
					t.Errorf("%.1f dB", best)
				}
			})
		}
	}
}

// quietly is speech with a pause in its middle, in which an encoder has nothing to send.
func quietly() []int16 {
	pcm := speech(48000, 6, 1)
	for i := 2 * 48000; i < 4*48000; i++ {
		pcm[i] = int16(i & 1)
	}
	return pcm
}

// encodeDTX leaves out what is quiet, which ffmpeg cannot.
func encodeDTX(t *testing.T, pcm []int16) oggOpus {
	t.Helper()
	enc, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: 48000, Channels: 1, Application: gopus.ApplicationVoIP})
	if err != nil {
		t.Fatal(err)
	}
	if err := enc.SetBitrate(16000); err != nil {
		t.Fatal(err)
	}
	enc.SetDTX(true)
	var o oggOpus
	for frame := range slices.Chunk(pcm, 960) {
		packet := make([]byte, 1275)
		n, err := enc.EncodeInt16(frame, packet)
		if err != nil {
			t.Fatal(err)
		}
		o.packets = append(o.packets, packet[:max(n, 1)])
	}
	return o
}

func TestOpusDTXIsSilence(t *testing.T) {
	stream := encodeDTX(t, quietly())
	want := libopus(t, stream)
	_, d := mustDecoder(t, opusFormat)
	got, frames := decodeAll(t, d, stream.packets)
	quiet, at := 0, -stream.preskip
	for _, f := range frames {
		if f.Kind == codec.Quiet {
			quiet++
			for i := max(0, at); i < min(at+f.Samples, len(want)); i++ {
				want[i] = 0 // what libopus makes up
			}
		}
		at += f.Samples
	}
	if quiet < 60 || quiet > 110 {
		t.Fatalf("%d of %d frames are quiet, the pause has 100: the encoder did not do what this test is for", quiet, len(frames))
	}
	if db := snr(want, got[stream.preskip:]); db < 40 {
		t.Errorf("the sound around the pause: %.1f dB", db)
	} else {
		t.Logf("%d frames quiet, %.1f dB around them", quiet, db)
	}
}

// correlation is how alike a and b are, whatever their loudness.
func correlation(a, b []int16) float64 {
	var ab, aa, bb float64
	for i, v := range a {
		ab += float64(v) * float64(b[i])
		aa += float64(v) * float64(v)
		bb += float64(b[i]) * float64(b[i])
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// TestOpusRecovers loses every fifth packet and gets it back from the next, as far as that has a copy.
func TestOpusRecovers(t *testing.T) {
	for _, c := range []struct {
		opusCase
		alike float64 // the least correlation with the lost sound
	}{
		{opusCase{"SILK 20 ms", 1, []string{"-b:a", "24k", "-cutoff", "8000"}, "SILK"}, 0.9},
		{opusCase{"SILK 10 ms", 1, []string{"-b:a", "32k", "-cutoff", "8000", "-frame_duration", "10"}, "SILK"}, 0.9},
		{opusCase{"SILK 60 ms", 1, []string{"-b:a", "24k", "-cutoff", "8000", "-frame_duration", "60"}, "SILK"}, 0.9},
		{opusCase{"SILK stereo 20 ms", 2, []string{"-b:a", "40k", "-cutoff", "8000"}, "SILK"}, 0.9},
		{opusCase{"hybrid 20 ms", 1, []string{"-b:a", "40k"}, "hybrid"}, 0.9},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"-application", "voip", "-fec", "1", "-packet_loss", "20"}, c.args...)
			stream := encodeOpus(t, c.pcm(), c.channels, args...)
			_, whole := mustDecoder(t, opusFormat)
			want, frames := decodeAll(t, whole, stream.packets)
			each := frames[0].Samples

			_, d := mustDecoder(t, opusFormat)
			var lost, was, after, afterWant []int16
			recovered, hybrid := 0, 0
			for i, p := range stream.packets {
				if mode(p) == "hybrid" {
					hybrid++
				}
				if i%5 == 3 {
					continue
				}
				if i%5 == 4 {
					got, err := d.Recover(nil, p, each)
					if err != nil {
						t.Fatalf("packet %d: %v", i, err)
					}
					if len(got) != 0 && len(got) != each {
						t.Fatalf("packet %d: %d samples, want %d", i, len(got), each)
					}
					if len(got) > 0 {
						recovered++
						lost = append(lost, got...)
						was = append(was, want[(i-1)*each:i*each]...)
					}
				}
				pcm, err := d.Decode(nil, p)
				if err != nil {
					t.Fatal(err)
				}
				if i%5 == 0 && i > 0 {
					after = append(after, pcm...)
					afterWant = append(afterWant, want[i*each:(i+1)*each]...)
				}
			}
			if c.mode == "hybrid" && hybrid < len(stream.packets)/2 {
				t.Fatalf("%d of %d packets are hybrid", hybrid, len(stream.packets))
			}
			if recovered < len(stream.packets)/5*6/10 {
				t.Fatalf("%d of %d lost packets came back", recovered, len(stream.packets)/5)
			}
			alike := correlation(was, lost)
			t.Logf("%d of %d came back, correlation %.3f; two packets after a loss %.1f dB", recovered, len(stream.packets)/5, alike, snr(afterWant, after))
			if alike < c.alike {
				t.Errorf("what came back correlates by %.3f", alike)
			}
		})
	}
}

func TestOpusRecoversNothingThatWasNotSent(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		loss int
	}{
		{"no redundancy", []string{"-application", "voip", "-b:a", "16k", "-cutoff", "8000"}, 960},
		{"CELT", []string{"-application", "lowdelay", "-b:a", "96k", "-fec", "1", "-packet_loss", "20"}, 960},
		{"a loss shorter than the copy", []string{"-application", "voip", "-b:a", "24k", "-cutoff", "8000", "-fec", "1", "-packet_loss", "20"}, 480},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := encodeOpus(t, speech(48000, 2, 1), 1, c.args...)
			_, d := mustDecoder(t, opusFormat)
			for i, p := range stream.packets {
				got, err := d.Recover(nil, p, c.loss)
				if err != nil || len(got) != 0 {
					t.Fatalf("packet %d: %d samples, %v", i, len(got), err)
				}
				if _, err := d.Decode(nil, p); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestOpusFraming has the rules of RFC 6716 section 3.4.
func TestOpusFraming(t *testing.T) {
	zeros := func(n int) []byte { return make([]byte, n) }
	const silk20, celt2, celt20 = 1 << 3, 16 << 3, 19 << 3
	for _, c := range []struct {
		name   string
		packet []byte
		frames []int // samples of each at 48 kHz; nil: malformed
		quiet  []int // those that are quiet
	}{
		{"R1: empty", nil, nil, nil},
		{"one frame", slices.Concat([]byte{silk20}, zeros(30)), []int{960}, nil},
		{"TOC only", []byte{silk20}, []int{960}, []int{0}},
		{"TOC and a byte", []byte{silk20, 0}, []int{960}, []int{0}},
		{"TOC and two bytes", []byte{silk20, 0, 0}, []int{960}, nil},
		{"R2: largest frame", slices.Concat([]byte{celt20}, zeros(1275)), []int{960}, nil},
		{"R2: frame too large", slices.Concat([]byte{celt20}, zeros(1276)), nil, nil},
		{"R3: two equal frames", slices.Concat([]byte{silk20 | 1}, zeros(40)), []int{960, 960}, nil},
		{"R3: odd", slices.Concat([]byte{silk20 | 1}, zeros(41)), nil, nil},
		{"R4: two frames", slices.Concat([]byte{silk20 | 2, 10}, zeros(30)), []int{960, 960}, nil},
		{"R4: the second is empty", slices.Concat([]byte{silk20 | 2, 10}, zeros(10)), []int{960, 960}, []int{1}},
		{"R4: the first is longer than the packet", slices.Concat([]byte{silk20 | 2, 10}, zeros(9)), nil, nil},
		{"R4: no length", []byte{silk20 | 2}, nil, nil},
		{"R4: half a length", []byte{silk20 | 2, 252}, nil, nil},
		{"R4: length of two bytes", slices.Concat([]byte{celt20 | 2, 252, 1}, zeros(256+9)), []int{960, 960}, nil},
		{"R5: no count", []byte{celt20 | 3}, nil, nil},
		{"R5: no frames", []byte{celt20 | 3, 0}, nil, nil},
		{"R5: 48 frames of 2.5 ms", slices.Concat([]byte{celt2 | 3, 48}, zeros(96)), slices.Repeat([]int{120}, 48), nil},
		{"R5: 49 frames", slices.Concat([]byte{celt2 | 3, 49}, zeros(98)), nil, nil},
		{"R5: 140 ms", slices.Concat([]byte{celt20 | 3, 7}, zeros(70)), nil, nil},
		{"R6: three frames", slices.Concat([]byte{celt20 | 3, 3}, zeros(30)), []int{960, 960, 960}, nil},
		{"R6: no multiple", slices.Concat([]byte{celt20 | 3, 3}, zeros(31)), nil, nil},
		{"R6: padding", slices.Concat([]byte{celt20 | 3, 0x43, 5}, zeros(30), zeros(5)), []int{960, 960, 960}, nil},
		{"R6: long padding", slices.Concat([]byte{celt20 | 3, 0x43, 255, 5}, zeros(30), zeros(259)), []int{960, 960, 960}, nil},
		{"R6: more padding than packet", slices.Concat([]byte{celt20 | 3, 0x43, 40}, zeros(30)), nil, nil},
		{"R6: padding without end", []byte{celt20 | 3, 0x43, 255, 255}, nil, nil},
		{"R7: three frames", slices.Concat([]byte{celt20 | 3, 0x83, 5, 0}, zeros(25)), []int{960, 960, 960}, []int{1}},
		{"R7: too short", slices.Concat([]byte{celt20 | 3, 0x83, 5, 21}, zeros(25)), nil, nil},
		{"R7: lengths missing", []byte{celt20 | 3, 0x85, 0, 0}, nil, nil},
		{"larger than any packet", slices.Concat([]byte{celt20 | 3, 0x43}, slices.Repeat([]byte{255}, 40), []byte{0}, zeros(10160), zeros(30)), nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want []codec.Frame
			for i, n := range c.frames {
				f := codec.Frame{Samples: n}
				if slices.Contains(c.quiet, i) {
					f.Kind = codec.Quiet
				}
				want = append(want, f)
			}
			_, d := mustDecoder(t, opusFormat)
			got, err := d.Frames(nil, c.packet)
			if !slices.Equal(got, want) || (err == nil) != (c.frames != nil) {
				t.Fatalf("%v, %v; want %v", got, err, want)
			}
			pcm, err := d.Decode(nil, c.packet)
			if c.frames == nil && (err == nil || len(pcm) != 0) {
				t.Errorf("decoded to %d samples, %v", len(pcm), err)
			}
			if c.frames != nil {
				agree(t, want, pcm)
			}
		})
	}
}

func FuzzOpus(f *testing.F) {
	for _, c := range []string{"\x08\x01\x02\x03\x04\x05", "\x0b\x82\x03\x01\x02\x03\x04\x05", "\x78\xff\x00\xff\x12", "\x98\x00\x00\x01\x02\x03"} {
		f.Add([]byte(c), []byte(c), uint8(4), uint16(960))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for config := range 32 {
		packet := make([]byte, 60)
		for i := range packet {
			packet[i] = byte(rnd.Uint32())
		}
		packet[0] = byte(config<<3 | config&7)
		f.Add(packet, packet, uint8(config), uint16(2880))
	}
	opusRates := []int{8000, 12000, 16000, 24000, 48000}
	f.Fuzz(func(t *testing.T, first, second []byte, rate uint8, loss uint16) {
		format := opusFormat
		hz := opusRates[int(rate)%len(opusRates)]
		format.Params = fmt.Sprintf("sprop-maxcapturerate=%d", hz)
		_, d := mustDecoder(t, format)
		for _, p := range [][]byte{first, second, first} {
			if got, _ := d.Recover(nil, p, int(loss)); len(got) > int(loss) {
				t.Fatalf("%d samples recovered of a loss of %d", len(got), loss)
			}
			decodeHostile(t, d, p, hz*120/1000)
		}
	})
}

func BenchmarkOpus(b *testing.B) {
	for _, c := range opusCases {
		stream := encodeOpus(b, c.pcm(), c.channels, c.args...)
		b.Run(c.name, func(b *testing.B) {
			_, d := mustDecoder(b, opusFormat)
			pcm := make([]int16, 0, 5760)
			frames, _ := d.Frames(nil, stream.packets[0])
			each := len(frames) * frames[0].Samples
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				_, _ = d.Decode(pcm, stream.packets[i%len(stream.packets)])
				i++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)*960/float64(each), "ns/20ms")
		})
	}
}
