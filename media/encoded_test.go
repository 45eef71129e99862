package media

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"strconv"
	"testing"
)

// encoded is a voice whose sound an independent encoder made: ffmpeg gives packets of bytes octets for each 20 ms.
func (l voice) encoded(t *testing.T, rate, clock, size int, pt uint8, args ...string) []sent {
	t.Helper()
	var pcm bytes.Buffer
	for i := range int((l.to - l.from) * float64(rate)) {
		v := signal(l.from+float64(i)/float64(rate), l.frequency, i)
		pcm.Write(binary.LittleEndian.AppendUint16(nil, uint16(v)))
	}
	line := append([]string{"-v", "error", "-f", "s16le", "-ar", strconv.Itoa(rate), "-ac", "1", "-i", "-"}, args...)
	cmd := exec.Command("ffmpeg", append(line, "-")...)
	cmd.Stdin = &pcm
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("encode with ffmpeg (scripts/tools.sh installs it): %v", err)
	}
	var packets []sent
	for n := 0; (n+1)*size <= len(out); n++ {
		spoken := l.from + float64(n)*0.02
		if spoken+0.02 > l.to+1e-9 {
			break
		}
		packets = append(packets, sent{
			at: spoken + 0.02 + pathDelay, spoken: spoken, length: 0.02, payload: out[n*size : (n+1)*size],
			sequence: l.sequence + uint16(n), timestamp: l.timestamp + uint32(n*clock/50), ssrc: uint32(l.frequency), pt: pt,
		})
	}
	return packets
}

func (l voice) g722(t *testing.T) []sent {
	return l.encoded(t, 16000, 8000, 160, 9, "-c:a", "g722", "-f", "g722")
}

// opus is of 24 kbit/s, so that each packet has 60 octets.
func (l voice) opus(t *testing.T) []sent {
	return l.encoded(t, 48000, 48000, 60, 111, "-map", "0:a", "-c:a", "libopus", "-application", "voip", "-vbr", "off", "-b:a", "24k", "-frame_duration", "20", "-f", "data")
}

// Codecs with a memory, through everything: the sound of an independent encoder stands where it was spoken.
func TestEncodedCalls(t *testing.T) {
	type harm func(c *call) expectation
	harms := map[string]harm{
		"plain": func(*call) expectation { return expectation{length: 14} },
		"loss of 5 %": func(c *call) expectation {
			r, original := random(), c.packets[0]
			c.packets[0] = keep(original, func(n int, _ sent) bool { return n == 0 || n == len(original)-1 || r.Float64() >= 0.05 })
			return expectation{any: true, length: 14, silent: c.lost(0, original), least: 6}
		},
		"reordering to 10 packets": func(c *call) expectation {
			shuffle(c.packets[0], 10)
			return expectation{length: 14}
		},
		"late start by 3.2 s": func(c *call) expectation {
			c.packets[0] = keep(c.packets[0], func(_ int, s sent) bool { return s.spoken > 3.199 })
			return expectation{length: 14, silent: []span{{0, 0, 3.22}}, gaps: []wantGap{{0, 0, 3.2, CauseNotStarted}}}
		},
		"network stall of 3 s, then a burst": func(c *call) expectation {
			n := 0
			each(c.packets[0], func(_ int, s *sent) {
				if s.at > 5.1 && s.at < 8.1 {
					s.at = 8.1 + float64(n)*0.0003
					n++
				}
			})
			return expectation{length: 14}
		},
	}
	for name, codec := range map[string]struct {
		packets []sent
		rate    int
	}{
		"G722": {voice{to: 14, frequency: 440}.g722(t), 16000},
		"opus": {voice{to: 14, frequency: 440}.opus(t), 48000},
	} {
		for harm, do := range harms {
			t.Run(name+"/"+harm, func(t *testing.T) {
				c := plainCall(14)
				c.streams[0] = fuzzStream(0)
				c.packets[0] = append([]sent(nil), codec.packets...)
				want := do(&c)
				r := c.run(t)
				r.check(t, tones, 14, want)
				if st := r.summary.Streams[0]; r.plan.Rate != codec.rate || st.Undecodable != 0 || st.Codec != name {
					t.Errorf("%d Hz, want %d: %+v", r.plan.Rate, codec.rate, st)
				}
			})
		}
	}
}
