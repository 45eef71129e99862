package codec_test

import (
	"slices"
	"testing"

	"github.com/greffier/greffier/media/codec"
)

// g722Sounds are sounds that drive both bands and the limits of the predictors.
func g722Sounds() map[string][]int16 {
	square := make([]int16, 32000)
	for i := range square {
		square[i] = 32767
		if i/40%2 == 1 {
			square[i] = -32768
		}
	}
	return map[string][]int16{
		"speech":       speech(16000, 3, 1),
		"tone 1 kHz":   sine(16000, 32000, 1000, 20000),
		"tone 6.5 kHz": sine(16000, 32000, 6500, 20000),
		"noise":        noise(32000, 8000, 1),
		"full scale":   square,
		"silence":      make([]int16, 16000),
	}
}

func TestG722AgreesWithFFmpeg(t *testing.T) {
	for name, pcm := range g722Sounds() {
		t.Run(name, func(t *testing.T) {
			code := output(t, little(pcm), "ffmpeg", "-v", "error", "-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "-", "-c:a", "g722", "-f", "g722", "-")
			agreeWithFFmpegG722(t, code)
		})
	}
	// Bytes that no encoder would send take the predictors to their limits.
	t.Run("any bytes", func(t *testing.T) {
		code := make([]byte, 0, 65536)
		for _, v := range noise(65536, 8000, 3) {
			code = append(code, byte(v))
		}
		agreeWithFFmpegG722(t, code)
	})
}

func agreeWithFFmpegG722(t *testing.T, code []byte) {
	t.Helper()
	want := reference(t, code, "ffmpeg", "-v", "error", "-f", "g722", "-i", "-", "-f", "s16le", "-")
	_, d := mustDecoder(t, codec.Format{Name: "G722", ClockRate: 8000})
	got, _ := decodeAll(t, d, cut(code, 160))
	if !slices.Equal(want, got) {
		at := 0
		for at < min(len(want), len(got)) && want[at] == got[at] {
			at++
		}
		n := min(len(want), len(got))
		t.Errorf("%d samples, ffmpeg has %d; they differ from sample %d on, by %.1f dB", len(got), len(want), at, snr(want[:n], got[:n]))
	}
}

func TestG722ResetForgets(t *testing.T) {
	_, d := mustDecoder(t, codec.Format{Name: "G722", ClockRate: 8000})
	code := []byte{0x5A, 0x13, 0xC7, 0x00, 0xFF, 0x81, 0x3C, 0x42}
	first, _ := d.Decode(nil, code)
	d.Reset()
	second, _ := d.Decode(nil, code)
	if !slices.Equal(first, second) {
		t.Errorf("%v, after Reset %v", first, second)
	}
}
