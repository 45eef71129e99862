package codec_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/greffier/greffier/media/codec"
)

// buildG729 builds the program of contrib/g729 and an encoder, which need Debian's libbcg729-dev (scripts/tools.sh).
func buildG729(t testing.TB) (decoder, encoder string) {
	t.Helper()
	dir := t.TempDir()
	decoder, encoder = filepath.Join(dir, "greffier-g729"), filepath.Join(dir, "g729enc")
	output(t, nil, "go", "build", "-C", "../../contrib/g729", "-o", decoder, ".")
	output(t, nil, "gcc", "-o", encoder, "../../contrib/g729/testdata/g729enc.c", "-lbcg729")
	return decoder, encoder
}

// encodeG729 encodes to frames, of 10 bytes, or of 2 or 0 where vad lets the encoder leave out what is quiet.
func encodeG729(t testing.TB, encoder string, pcm []int16, vad string) (frames [][]byte) {
	t.Helper()
	for b := output(t, little(pcm), encoder, vad); len(b) > 0; b = b[1+b[0]:] {
		frames = append(frames, b[1:1+b[0]])
	}
	return frames
}

func mustG729(t testing.TB, program string) codec.Decoder {
	t.Helper()
	c, ok := codec.Set{G729: program}.Lookup(codec.Format{Name: "G729", ClockRate: 8000, Channels: 1})
	if !ok {
		t.Fatal("not found")
	}
	d, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestG729AgreesWithFFmpeg(t *testing.T) {
	program, encoder := buildG729(t)
	code := slices.Concat(encodeG729(t, encoder, speech(8000, 4, 1), "0")...)
	want := reference(t, code, "ffmpeg", "-v", "error", "-f", "g729", "-i", "-", "-f", "s16le", "-")
	for _, payload := range []int{10, 20, 60} {
		got, _ := decodeAll(t, mustG729(t, program), cut(code, payload))
		n := min(len(want), len(got))
		if n < 31000 {
			t.Fatalf("%d samples, ffmpeg has %d", len(got), len(want))
		}
		// The two filter differently after decoding: annex A's filter is not the main body's.
		if c := correlation(want[:n], got[:n]); c < 0.95 {
			t.Errorf("correlation %.4f", c)
		} else {
			t.Logf("correlation %.4f", c)
		}
	}
}

func TestG729SilenceDescriptorsAreSilence(t *testing.T) {
	program, encoder := buildG729(t)
	frames := encodeG729(t, encoder, slices.Concat(speech(8000, 2, 1), make([]int16, 16000), speech(8000, 2, 2)), "1")
	var payloads [][]byte
	var wait []byte
	descriptors := 0
	for _, f := range frames {
		switch len(f) {
		case 2: // a descriptor may follow a frame in the same payload
			payloads = append(payloads, append(wait, f...))
			wait = nil
			descriptors++
		case 10:
			if wait != nil {
				payloads = append(payloads, wait)
			}
			wait = bytes.Clone(f)
		}
	}
	_, list := decodeAll(t, mustG729(t, program), payloads) // which fails when what is quiet is not zeros
	quiet := 0
	for _, f := range list {
		if f.Kind == codec.Quiet {
			quiet++
		}
	}
	if quiet != descriptors || descriptors == 0 {
		t.Errorf("%d frames are quiet, %d descriptors", quiet, descriptors)
	}
}

func TestG729ResetForgets(t *testing.T) {
	program, encoder := buildG729(t)
	payloads := cut(slices.Concat(encodeG729(t, encoder, speech(8000, 1, 1), "0")...), 20)
	d := mustG729(t, program)
	first, _ := decodeAll(t, d, payloads)
	d.Reset()
	if again, _ := decodeAll(t, d, payloads); !slices.Equal(first, again) {
		t.Error("after Reset the samples differ")
	}
}

func TestG729Payloads(t *testing.T) {
	program, _ := buildG729(t)
	d := mustG729(t, program)
	for _, n := range []int{1, 3, 9, 11, 14, 1002, 1010} {
		if frames, err := d.Frames(nil, make([]byte, n)); err == nil {
			t.Errorf("%d bytes are %d frames", n, len(frames))
		}
		decodeHostile(t, d, make([]byte, n), 0)
	}
	for _, n := range []int{0, 2, 10, 12, 20, 992, 1000} {
		if _, err := d.Frames(nil, make([]byte, n)); err != nil {
			t.Error(err)
		}
		decodeHostile(t, d, make([]byte, n), 8000)
	}
}

// A program that ends costs the payload that it had; it is started again, but not for ever.
func TestG729ProgramThatDies(t *testing.T) {
	program := filepath.Join(t.TempDir(), "dies")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec /usr/bin/head -c 5 >/dev/null\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := mustG729(t, program)
	for i := range 10 {
		pcm, err := d.Decode(nil, make([]byte, 20))
		if err == nil {
			t.Fatalf("payload %d: no error", i)
		}
		agree(t, []codec.Frame{{Samples: 160, Kind: codec.Bad}}, pcm)
		d.Reset()
	}
}

func TestG729ProgramThatIsMissing(t *testing.T) {
	if _, err := codec.External(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error")
	}
}

func FuzzG729(f *testing.F) {
	program, _ := buildG729(f)
	d := mustG729(f, program)
	f.Add(make([]byte, 22))
	f.Add(slices.Repeat([]byte{0xFF, 0x12, 0x80}, 10))
	f.Fuzz(func(t *testing.T, payload []byte) {
		decodeHostile(t, d, payload, 8000)
		if frames, err := d.Frames(nil, payload); err == nil && len(frames) > 0 {
			if _, err := d.Decode(nil, payload); err != nil {
				t.Fatalf("the program does not survive: %v", err)
			}
		}
	})
}

func BenchmarkG729(b *testing.B) {
	program, encoder := buildG729(b)
	payloads := cut(slices.Concat(encodeG729(b, encoder, speech(8000, 1, 1), "0")...), 20)
	d := mustG729(b, program)
	pcm, i := make([]int16, 0, 1000), 0
	b.ReportAllocs()
	for b.Loop() {
		_, _ = d.Decode(pcm, payloads[i%len(payloads)])
		i++
	}
}
