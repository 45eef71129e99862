package ogg_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/greffier/greffier/media/ogg"
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
	e, err := ogg.NewEncoder(&b, ogg.Config{Rate: rate, Channels: channels})
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

const burstLength = 0.2 // seconds

// burstAt is when the bursts of a channel begin, in seconds: never two channels at the same time.
func burstAt(channels, channel, k int) float64 {
	return 0.31 + 0.4*float64(k*(channels+1)+channel)
}

// bursts is n frames of silence with bursts of a tone, in every channel at another time.
func bursts(rate, channels, n int) []int16 {
	out := make([]int16, n*channels)
	for c := range channels {
		for k := 0; ; k++ {
			from := int(burstAt(channels, c, k) * float64(rate))
			if from >= n {
				break
			}
			for i := from; i < min(n, from+int(burstLength*float64(rate))); i++ {
				out[i*channels+c] = int16(9000 * math.Sin(2*math.Pi*700*float64(i)/float64(rate)))
			}
		}
	}
	return out
}

// onset finds where a channel becomes loud: the middle of the 1 ms window in which the energy passes that of half a burst.
func onset(samples []int16, from, to, rate int) float64 {
	window := rate / 1000
	for i := max(0, from); i+window < min(to, len(samples)); i++ {
		sum := 0.0
		for _, v := range samples[i : i+window] {
			sum += math.Abs(float64(v))
		}
		if sum/float64(window) > 2000 {
			return (float64(i) + float64(window)/2) / float64(rate)
		}
	}
	return math.NaN()
}

func rms(samples []int16) float64 {
	sum := 0.0
	for _, v := range samples {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(max(1, len(samples))))
}

// TestOtherProgramsReadWhatWeWrite: ffmpeg decodes exactly as many samples, the bursts where they were, and each channel by itself.
func TestOtherProgramsReadWhatWeWrite(t *testing.T) {
	for _, rate := range []int{8000, 16000, 24000, 48000} {
		for _, channels := range []int{1, 2, 3, 9} {
			t.Run(fmt.Sprintf("%d Hz %d channels", rate, channels), func(t *testing.T) {
				t.Parallel()
				frames := rate*13/2 + 7 // no whole number of packets
				samples := bursts(rate, channels, frames)
				path := filepath.Join(t.TempDir(), "a.opus")
				if err := os.WriteFile(path, encode(t, rate, channels, samples, 1000), 0o600); err != nil {
					t.Fatal(err)
				}
				probe(t, path, channels)
				decoders := []string{"opus", "libopus"}
				if channels > 2 {
					decoders = decoders[:1] // ffmpeg reorders what libopus decodes as if it were surround sound, in every family
				}
				for _, decoder := range decoders {
					heardBy(t, decoder, path, rate, channels, frames)
				}
			})
		}
	}
}

// heardBy has a decoder of ffmpeg decode a file of bursts.
func heardBy(t *testing.T, decoder, path string, rate, channels, frames int) {
	t.Helper()
	const heard = 48000
	b := run(t, "ffmpeg", "-v", "error", "-c:a", decoder, "-i", path, "-f", "s16le", "-")
	if got, want := len(b)/2/channels, frames*heard/rate; got != want {
		t.Errorf("ffmpeg decodes %d samples at 48 kHz, want %d", got, want)
	}
	for c := range channels {
		mine := channel(b, channels, c)
		for k := 0; burstAt(channels, c, k)+burstLength < float64(frames)/float64(rate); k++ {
			want := burstAt(channels, c, k)
			at := onset(mine, int((want-0.1)*heard), int((want+0.1)*heard), heard)
			if !(math.Abs(at-want) <= 0.005) {
				t.Errorf("channel %d: a burst at %.4f s is heard at %.4f s", c, want, at)
			}
			leaks(t, b, channels, c, int((want+0.02)*heard), int((want+burstLength-0.02)*heard))
		}
	}
}

// leaks fails when what is said on one channel is heard on another one: they are two parties, not left and right of one room.
func leaks(t *testing.T, b []byte, channels, speaking, from, to int) {
	t.Helper()
	const most = 0.01 // 40 dB below
	loud := rms(channel(b, channels, speaking)[from:to])
	for c := range channels {
		if c == speaking {
			continue
		}
		if quiet := rms(channel(b, channels, c)[from:to]); quiet > most*loud {
			t.Errorf("channel %d speaks, and channel %d has it at %.1f dB", speaking, c, 20*math.Log10(quiet/loud))
		}
	}
}

func channel(b []byte, channels, c int) []int16 {
	out := make([]int16, len(b)/2/channels)
	for i := range out {
		out[i] = int16(binary.LittleEndian.Uint16(b[2*(i*channels+c):]))
	}
	return out
}

func probe(t *testing.T, path string, channels int) {
	t.Helper()
	var report struct {
		Streams []struct {
			CodecName string `json:"codec_name"`
			Channels  int
			Tags      map[string]string
		}
	}
	out := run(t, "ffprobe", "-v", "warning", "-of", "json", "-show_streams", path)
	if err := json.Unmarshal(out, &report); err != nil || len(report.Streams) != 1 {
		t.Fatalf("ffprobe says %s, %v", out, err)
	}
	s := report.Streams[0]
	if s.CodecName != "opus" || s.Channels != channels || len(s.Tags) > 0 {
		t.Errorf("ffprobe says %+v of %d channels", s, channels)
	}
}

// TestLengths: whatever the number of samples, so many come out.
func TestLengths(t *testing.T) {
	for _, n := range []int{7, 159, 160, 161, 268, 8000, 8000*2 - 52, 24001} {
		path := filepath.Join(t.TempDir(), "a.opus")
		if err := os.WriteFile(path, encode(t, 8000, 1, make([]int16, n), 100), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := len(run(t, "ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-")) / 2; got != 6*n {
			t.Errorf("of %d samples %d come out at 48 kHz, want %d", n, got, 6*n)
		}
	}
}

// TestChunksDoNotMatter: the file depends on the samples alone.
func TestChunksDoNotMatter(t *testing.T) {
	samples := bursts(8000, 2, 20000)
	want := encode(t, 8000, 2, samples, 20000)
	for _, chunk := range []int{1, 159, 160, 4097} {
		if !bytes.Equal(encode(t, 8000, 2, samples, chunk), want) {
			t.Errorf("in chunks of %d the file is another one", chunk)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []ogg.Config{{Rate: 8000}, {Rate: 8000, Channels: 33}, {Rate: 44100, Channels: 1}} {
		if _, err := ogg.NewEncoder(io.Discard, c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	var b bytes.Buffer
	e, err := ogg.NewEncoder(&b, ogg.Config{Rate: 8000, Channels: 32})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Write(make([]int16, 32*8000)); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.opus")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := len(run(t, "ffmpeg", "-v", "error", "-c:a", "opus", "-i", path, "-f", "s16le", "-")); got != 2*32*48000 {
		t.Errorf("of a second of 32 channels %d bytes come out", got)
	}
	if err := e.Write(make([]int16, 32)); err == nil {
		t.Error("a closed file was written to")
	}
}

// TestMemory: what is kept does not grow with the file.
func TestMemory(t *testing.T) {
	e, err := ogg.NewEncoder(io.Discard, ogg.Config{Rate: 8000, Channels: 2})
	if err != nil {
		t.Fatal(err)
	}
	samples := bursts(8000, 2, 8000)
	write := func() {
		if err := e.Write(samples); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		write()
	}
	if n := testing.AllocsPerRun(20, write); n > packetsAllowed {
		t.Errorf("%v allocations for a second of sound", n)
	}
}

// packetsAllowed is one allocation for each packet of a second, which the encoder may need.
const packetsAllowed = 50

// BenchmarkMinute encodes a minute of two channels in which each speaks for an eighth of the time.
func BenchmarkMinute(b *testing.B) {
	for _, rate := range []int{8000, 16000, 48000} {
		b.Run(fmt.Sprint(rate), func(b *testing.B) {
			samples := bursts(rate, 2, rate*60)
			for b.Loop() {
				encode(b, rate, 2, samples, rate)
			}
			b.ReportMetric(100*b.Elapsed().Minutes()/float64(b.N), "%of-one-CPU")
		})
	}
}
