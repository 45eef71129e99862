package codec_test

import (
	"slices"
	"testing"
)

// A copy of a long frame leaves out the runs of 20 ms in which the encoder heard no speech. Those come back as zeros, the
// others do not: the encoder had reason to leave out the former.
func TestOpusRecoversOnlyRunsWithACopy(t *testing.T) {
	pcm := speech(48000, 6, 1)
	for i := range pcm {
		if i/14000%2 == 1 {
			pcm[i] = int16(i & 1)
		}
	}
	for _, duration := range []string{"40", "60"} {
		t.Run(duration+" ms", func(t *testing.T) {
			stream := encodeOpus(t, pcm, 1, "-application", "voip", "-fec", "1", "-packet_loss", "20", "-b:a", "24k", "-cutoff", "8000",
				"-frame_duration", duration)
			_, whole := mustDecoder(t, opusFormat)
			want, frames := decodeAll(t, whole, stream.packets)
			each := frames[0].Samples
			_, d := mustDecoder(t, opusFormat)
			var energy, runs [2]float64 // of the runs without a copy, and with one
			for i, p := range stream.packets {
				got, err := d.Recover(nil, p, each)
				if err != nil {
					t.Fatal(err)
				}
				for at := 0; at < len(got) && i > 0; at += 960 {
					with := 0
					if slices.ContainsFunc(got[at:at+960], func(v int16) bool { return v != 0 }) {
						with = 1
					}
					runs[with]++
					for _, v := range want[(i-1)*each+at:][:960] {
						energy[with] += float64(v) * float64(v)
					}
				}
				if _, err := d.Decode(nil, p); err != nil {
					t.Fatal(err)
				}
			}
			if runs[0] < 5 || runs[1] < 50 || energy[0]/runs[0] > energy[1]/runs[1]/10 {
				t.Errorf("%v runs without and with a copy, energy %v", runs, energy)
			}
		})
	}
}
