package flac_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/greffier/greffier/media/flac"
)

// decode reads a file to its end.
func decode(r io.Reader) (flac.Config, []int16, error) {
	d, err := flac.NewDecoder(r)
	if err != nil {
		return flac.Config{}, nil, err
	}
	var out []int16
	for {
		part, err := d.Next()
		if errors.Is(err, io.EOF) {
			return d.Config, out, nil
		}
		if err != nil {
			return d.Config, out, err
		}
		out = append(out, part...)
	}
}

// TestWeReadWhatWeWrite: the samples of every kind of signal come back, at every rate and number of channels.
func TestWeReadWhatWeWrite(t *testing.T) {
	for _, x := range []struct{ rate, channels int }{{8000, 1}, {8000, 2}, {11025, 3}, {16000, 2}, {48000, 8}} {
		for name, samples := range signals(x.rate, x.channels) {
			file := encode(t, x.rate, x.channels, samples, 1000)
			c, got, err := decode(bytes.NewReader(file))
			if err != nil || !slices.Equal(got, samples) {
				t.Errorf("%s at %d Hz, %d channels: %d samples of %d come back, %v", name, x.rate, x.channels, len(got), len(samples), err)
			}
			if c.Rate != x.rate || c.Channels != x.channels || c.Samples != int64(len(samples)/x.channels) {
				t.Errorf("%s: %+v", name, c)
			}
		}
	}
}

// TestDamageIsFound: no changed byte, and no cut, goes unnoticed.
func TestDamageIsFound(t *testing.T) {
	samples := speech(8000, 2, 5000)
	file := encode(t, 8000, 2, samples, 4096)
	const md5, md5End = 26, 42                 // nobody reads it
	for i := 0; i < len(file); i += 1 + i/60 { // every one of the head, and others
		if i >= 12 && i < 18 || i >= md5 && i < md5End { // frame sizes, not known, are not read either
			continue
		}
		bad := slices.Clone(file)
		bad[i] ^= 0x10
		c, got, err := decode(bytes.NewReader(bad))
		if err == nil && slices.Equal(got, samples) && c.Rate == 8000 {
			t.Errorf("byte %d of %d changed, and nobody notices", i, len(file))
		}
		if err != nil && !errors.Is(err, flac.ErrFormat) {
			t.Errorf("byte %d: %v", i, err)
		}
		if _, _, err := decode(bytes.NewReader(file[:i])); !errors.Is(err, flac.ErrFormat) {
			t.Errorf("cut at byte %d: %v", i, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, samples := range signals(8000, 2) {
		f.Add(encode(f, 8000, 2, samples[:min(len(samples), 4000)], 500))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		c, got, err := decode(io.LimitReader(bytes.NewReader(file), 1<<20))
		if err == nil && int64(len(got)) != c.Samples*int64(c.Channels) {
			t.Errorf("%d samples, and the head says %d of %d channels", len(got), c.Samples, c.Channels)
		}
		if err != nil && !errors.Is(err, flac.ErrFormat) {
			t.Errorf("%v", err)
		}
	})
}
