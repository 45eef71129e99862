package wav_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/media/wav"
)

var formats = []wav.Format{
	{Tag: wav.PCM, SampleRate: 8000, Channels: 1, BitsPerSample: 16},
	{Tag: wav.PCM, SampleRate: 16000, Channels: 2, BitsPerSample: 16},
	{Tag: wav.PCM, SampleRate: 48000, Channels: 3, BitsPerSample: 16},
	{Tag: wav.MuLaw, SampleRate: 8000, Channels: 1, BitsPerSample: 8},
	{Tag: wav.MuLaw, SampleRate: 8000, Channels: 2, BitsPerSample: 8},
	{Tag: wav.ALaw, SampleRate: 8000, Channels: 2, BitsPerSample: 8},
	{Tag: wav.ALaw, SampleRate: 8000, Channels: 3, BitsPerSample: 8},
}

func name(f wav.Format) string {
	return fmt.Sprintf("%v %d Hz %d channels", f.Tag, f.SampleRate, f.Channels)
}

// file is a file with noise in it; says is the length in its header.
func file(f wav.Format, frames int, says int64) ([]byte, []byte) {
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, frames*f.FrameBytes())
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	b := append(wav.Header(f, says), data...)
	return append(b, make([]byte, wav.Padding(int64(len(data))))...), data
}

func run(t *testing.T, name string, args ...string) []byte {
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

// interleaved turns raw 16-bit output of another program into our shape.
func interleaved(b []byte, channels int) [][]int16 {
	out := make([][]int16, channels)
	for i := 0; i+1 < len(b); i += 2 {
		c := i / 2 % channels
		out[c] = append(out[c], int16(binary.LittleEndian.Uint16(b[i:])))
	}
	return out
}

func TestOtherProgramsReadWhatWeWrite(t *testing.T) {
	for _, f := range formats {
		t.Run(name(f), func(t *testing.T) {
			const frames = 4097 // odd, so that some formats need padding
			b, data := file(f, frames, int64(frames*f.FrameBytes()))
			path := filepath.Join(t.TempDir(), "a.wav")
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			info, got, err := wav.ReadSamples(bytes.NewReader(b), int64(len(b)))
			if err != nil || info.DataBytes != int64(len(data)) || info.Format != f {
				t.Fatalf("read back: %+v, %v", info, err)
			}
			ffmpeg := run(t, "ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-")
			if d := cmp.Diff(interleaved(ffmpeg, f.Channels), got); d != "" {
				t.Errorf("differs from ffmpeg (-want +got):\n%s", d)
			}
			sox := run(t, "sox", "-D", path, "-t", "raw", "-b", "16", "-e", "signed-integer", "-L", "-")
			if d := cmp.Diff(interleaved(sox, f.Channels), got); d != "" {
				t.Errorf("differs from sox (-want +got):\n%s", d)
			}
			probe(t, path, f)
		})
	}
}

func probe(t *testing.T, path string, f wav.Format) {
	t.Helper()
	var report struct {
		Streams []struct {
			CodecName  string `json:"codec_name"`
			SampleRate string `json:"sample_rate"`
			Channels   int
		}
	}
	out := run(t, "ffprobe", "-v", "warning", "-of", "json", "-show_streams", path)
	if err := json.Unmarshal(out, &report); err != nil || len(report.Streams) != 1 {
		t.Fatalf("ffprobe says %s, %v", out, err)
	}
	s := report.Streams[0]
	codec := map[wav.Tag]string{wav.PCM: "pcm_s16le", wav.MuLaw: "pcm_mulaw", wav.ALaw: "pcm_alaw"}[f.Tag]
	if s.CodecName != codec || s.SampleRate != fmt.Sprint(f.SampleRate) || s.Channels != f.Channels {
		t.Errorf("ffprobe says %+v of %+v", s, f)
	}
}

func TestUnfinishedFilesAreReadToTheirEnd(t *testing.T) {
	for _, f := range formats {
		for _, c := range []struct {
			name string
			says int64
			cut  int // bytes missing at the end
		}{
			{"unknown", -1, 0},
			{"nothing yet", 0, 0},
			{"more than is there", 1 << 20, 0},
			{"more than 4 GiB", 1 << 33, 0},
			{"torn frame", -1, 1},
		} {
			t.Run(name(f)+"/"+c.name, func(t *testing.T) {
				const frames = 1000 // even, so that there is no padding
				b, data := file(f, frames, c.says)
				b = b[:len(b)-c.cut]
				info, err := wav.Parse(bytes.NewReader(b), int64(len(b)))
				if err != nil {
					t.Fatal(err)
				}
				want := int64(len(data)-c.cut) / int64(f.FrameBytes()) * int64(f.FrameBytes())
				if info.DataBytes != want || info.Format != f {
					t.Errorf("%+v, want %d bytes", info, want)
				}
				if !bytes.Equal(b[info.DataOffset:][:want], data[:want]) {
					t.Error("the data is not where the header says")
				}
			})
		}
	}
}

func TestAnEmptyFileHasNoData(t *testing.T) {
	b := append(wav.Header(formats[0], 0), "LIST\x04\x00\x00\x00abcd"...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
	info, err := wav.Parse(bytes.NewReader(b), int64(len(b)))
	if err != nil || info.DataBytes != 0 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestFilesAbove4GiBAreRF64(t *testing.T) {
	f := formats[1]
	const frames = 3 << 30
	h := wav.Header(f, frames*4)
	if string(h[:4]) != "RF64" || len(h) != 80 {
		t.Fatalf("header of %d bytes: %q", len(h), h)
	}
	size := int64(len(h)) + frames*4
	info, err := wav.Parse(sparse(h), size)
	if err != nil || info.Frames() != frames {
		t.Errorf("%+v, %v", info, err)
	}
	if riff := int64(binary.LittleEndian.Uint64(h[20:])); riff != size-8 {
		t.Errorf("ds64 says %d, the file has %d", riff, size-8)
	}
}

// sparse is a file that begins with its bytes and goes on with zeros for ever.
type sparse []byte

func (s sparse) ReadAt(b []byte, offset int64) (int, error) {
	clear(b)
	if offset < int64(len(s)) {
		copy(b, s[offset:])
	}
	return len(b), nil
}

func TestHeaderBytes(t *testing.T) {
	for _, f := range formats[:3] {
		h := wav.Header(f, 161)
		want := map[wav.Tag]int{wav.PCM: 44, wav.MuLaw: 58}[f.Tag]
		if len(h) != want || binary.LittleEndian.Uint32(h[4:]) != uint32(want-8+161+1) {
			t.Errorf("%s: %d bytes: %q", name(f), len(h), h)
		}
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	good, _ := file(formats[0], 10, 20)
	bad := map[string][]byte{
		"empty":       {},
		"text":        []byte("RIFF, said the clerk, and wrote it down"),
		"no format":   append([]byte("RIFF\x00\x00\x00\x00WAVE"), "data\x00\x00\x00\x00"...),
		"only header": good[:12],
		"24 bits":     bytes.Replace(good, []byte{16, 0, 'd', 'a', 't', 'a'}, []byte{24, 0, 'd', 'a', 't', 'a'}, 1),
	}
	for what, b := range bad {
		if _, err := wav.Parse(bytes.NewReader(b), int64(len(b))); !errors.Is(err, wav.ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, format := range formats {
		for _, says := range []int64{-1, 0, 20, 1 << 33} {
			b, _ := file(format, 10, says)
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		info, samples, err := wav.ReadSamples(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if info.DataOffset < 0 || info.DataBytes < 0 || info.DataOffset+info.DataBytes > int64(len(b)) {
			t.Fatalf("data beyond the file: %+v of %d bytes", info, len(b))
		}
		if len(samples) != info.Channels || int64(len(samples[0])) != info.Frames() {
			t.Fatalf("%d channels of %d samples: %+v", len(samples), len(samples[0]), info)
		}
	})
}
