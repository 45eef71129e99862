package flac_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/greffier/greffier/media/flac"
)

func run(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s, which this test needs: %v\n%s", name, err, stderr.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("%s complains: %s", name, stderr.String())
	}
	return out
}

func encode(t testing.TB, rate, channels int, samples []int16, chunk int) []byte {
	t.Helper()
	var b bytes.Buffer
	e, err := flac.NewEncoder(&b, flac.Config{Rate: rate, Channels: channels, Samples: int64(len(samples) / channels)})
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(samples, chunk*channels) {
		if err := e.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// speech is n frames of bursts of a tone with overtones and noise, a pause after each, every channel another tone.
func speech(rate, channels, n int) []int16 {
	random := rand.New(rand.NewPCG(1, 2))
	out := make([]int16, 0, n*channels)
	for i := range n {
		for c := range channels {
			at := float64(i) / float64(rate)
			v := 0.0
			if math.Mod(at+float64(c)*0.7, 2) < 1.2 {
				f := 2 * math.Pi * (140 + 60*float64(c)) * at
				v = 6000*math.Sin(f) + 3000*math.Sin(3*f) + 900*math.Sin(11*f) + 200*random.NormFloat64()
			}
			out = append(out, int16(v))
		}
	}
	return out
}

func signals(rate, channels int) map[string][]int16 {
	random := rand.New(rand.NewPCG(3, 4))
	fill := func(n int, f func(i int) int16) []int16 {
		out := make([]int16, n*channels)
		for i := range out {
			out[i] = f(i)
		}
		return out
	}
	return map[string][]int16{
		"nothing": {},
		"one":     fill(1, func(int) int16 { return -5 }),
		"seven":   fill(7, func(i int) int16 { return int16(i * i) }),
		"silence": fill(9000, func(int) int16 { return 0 }),
		"alaw":    fill(9000, func(int) int16 { return int16(random.IntN(4096)-2048) * 8 }),
		"noise":   fill(12288, func(int) int16 { return int16(random.Uint32()) }),
		"extreme": fill(8192, func(i int) int16 { return []int16{math.MaxInt16, math.MinInt16}[random.IntN(2)] }),
		"spike":   fill(8192, func(i int) int16 { return map[bool]int16{true: math.MinInt16}[i == 5000] }),
		"speech":  speech(rate, channels, 3*rate+17),
	}
}

// TestOtherProgramsReadWhatWeWrite: every sample comes back from ffmpeg and from sox.
func TestOtherProgramsReadWhatWeWrite(t *testing.T) {
	for _, rate := range []int{8000, 16000, 48000, 12345} {
		for _, channels := range []int{1, 2, 3, 8} {
			t.Run(fmt.Sprintf("%d Hz %d channels", rate, channels), func(t *testing.T) {
				t.Parallel()
				for name, samples := range signals(rate, channels) {
					if name == "nothing" {
						continue // both refuse a file of no samples, in any format
					}
					path := filepath.Join(t.TempDir(), name+".flac")
					if err := os.WriteFile(path, encode(t, rate, channels, samples, 1000), 0o600); err != nil {
						t.Fatal(err)
					}
					want := raw(samples)
					if got := run(t, "ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-"); !bytes.Equal(got, want) {
						t.Errorf("%s: ffmpeg decodes %d bytes that differ from the %d written", name, len(got), len(want))
					}
					if got := run(t, "sox", "-V1", "-D", path, "-t", "raw", "-b", "16", "-e", "signed-integer", "-L", "-"); !bytes.Equal(got, want) {
						t.Errorf("%s: sox decodes %d bytes that differ from the %d written", name, len(got), len(want))
					}
					if name == "speech" {
						probe(t, path, rate, channels, len(samples)/channels)
					}
				}
			})
		}
	}
}

func raw(samples []int16) []byte {
	out := make([]byte, 0, 2*len(samples))
	for _, v := range samples {
		out = binary.LittleEndian.AppendUint16(out, uint16(v))
	}
	return out
}

func probe(t *testing.T, path string, rate, channels, samples int) {
	t.Helper()
	var report struct {
		Streams []struct {
			CodecName  string `json:"codec_name"`
			SampleRate string `json:"sample_rate"`
			Channels   int
			Samples    int `json:"duration_ts"`
		}
	}
	out := run(t, "ffprobe", "-v", "warning", "-of", "json", "-show_streams", path)
	if err := json.Unmarshal(out, &report); err != nil || len(report.Streams) != 1 {
		t.Fatalf("ffprobe says %s, %v", out, err)
	}
	s := report.Streams[0]
	if s.CodecName != "flac" || s.SampleRate != fmt.Sprint(rate) || s.Channels != channels || s.Samples != samples {
		t.Errorf("ffprobe says %+v of %d Hz, %d channels, %d samples", s, rate, channels, samples)
	}
}

// TestEveryKindOfBlock: two thousand frames of samples of every kind, scale, and number of wasted bits come back as they were.
func TestEveryKindOfBlock(t *testing.T) {
	const channels, frames = 8, 250
	random := rand.New(rand.NewPCG(7, 8))
	samples := make([]int16, channels*frames*4096)
	for block := range channels * frames {
		c, from := block%channels, block/channels*4096
		kind, scale, wasted := random.IntN(7), math.Exp2(15*random.Float64()), random.IntN(16)
		walk, pitch := 0.0, random.Float64()*3
		for i := from; i < from+4096; i++ {
			v := 0.0
			switch kind {
			case 0:
				v = scale * (2*random.Float64() - 1)
			case 1:
				walk += scale / 50 * random.NormFloat64()
				v = walk
			case 2:
				v = scale * math.Sin(pitch*float64(i))
			case 3:
				v = scale*math.Sin(pitch*float64(i)) + 20*random.NormFloat64()
			case 4:
				v = scale * float64(1-2*(i&1))
			case 5:
				if random.IntN(700) == 0 {
					v = scale
				}
			case 6:
				v = scale * float64(i-from) / 4096 * math.Sin(pitch*float64(i))
			}
			samples[i*channels+c] = int16(max(math.MinInt16, min(math.MaxInt16, v))) >> wasted << wasted
		}
	}
	path := filepath.Join(t.TempDir(), "a.flac")
	if err := os.WriteFile(path, encode(t, 16000, channels, samples, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(run(t, "ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-"), raw(samples)) {
		t.Error("ffmpeg decodes other samples than were written")
	}
}

// TestChunksDoNotMatter: the file depends on the samples alone.
func TestChunksDoNotMatter(t *testing.T) {
	samples := speech(8000, 2, 20000)
	want := encode(t, 8000, 2, samples, 20000)
	for _, chunk := range []int{1, 160, 4095, 4096, 4097} {
		if !bytes.Equal(encode(t, 8000, 2, samples, chunk), want) {
			t.Errorf("in chunks of %d the file is another one", chunk)
		}
	}
}

// TestSize: no worse than ffmpeg's encoder at its default by a twentieth.
func TestSize(t *testing.T) {
	samples := speech(8000, 2, 8000*20)
	dir := t.TempDir()
	path := filepath.Join(dir, "a.flac")
	ours := encode(t, 8000, 2, samples, 4096)
	if err := os.WriteFile(path, ours, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "ffmpeg", "-v", "error", "-i", path, "-c:a", "flac", filepath.Join(dir, "b.flac"))
	theirs, err := os.Stat(filepath.Join(dir, "b.flac"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes of samples: ours %d, ffmpeg's %d", 2*len(samples), len(ours), theirs.Size())
	if int64(len(ours)) > theirs.Size()*21/20 {
		t.Errorf("our file has %d bytes, ffmpeg's %d", len(ours), theirs.Size())
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []flac.Config{{Rate: 8000, Channels: 9}, {Rate: 8000}, {Rate: 0, Channels: 1}, {Rate: 1 << 20, Channels: 1}, {Rate: 8000, Channels: 1, Samples: 1 << 36}} {
		if _, err := flac.NewEncoder(io.Discard, c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	e, err := flac.NewEncoder(io.Discard, flac.Config{Rate: 8000, Channels: 2, Samples: 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Write(make([]int16, 2)); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err == nil {
		t.Error("a file with fewer samples than its head says was closed without a word")
	}
	if err := e.Write(make([]int16, 2)); err == nil {
		t.Error("a closed file was written to")
	}
}

// TestNoMemory: an hour needs no more than a second.
func TestNoMemory(t *testing.T) {
	e, err := flac.NewEncoder(io.Discard, flac.Config{Rate: 8000, Channels: 2, Samples: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	samples := speech(8000, 2, 8192)
	write := func() {
		if err := e.Write(samples); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if n := testing.AllocsPerRun(50, write); n > 0 {
		t.Errorf("%v allocations for a second of sound", n)
	}
}

// BenchmarkHour encodes an hour of two channels at 8 kHz.
func BenchmarkHour(b *testing.B) {
	samples := speech(8000, 2, 8000*60)
	for b.Loop() {
		e, err := flac.NewEncoder(io.Discard, flac.Config{Rate: 8000, Channels: 2, Samples: 8000 * 3600})
		if err != nil {
			b.Fatal(err)
		}
		for range 60 {
			if err := e.Write(samples); err != nil {
				b.Fatal(err)
			}
		}
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
