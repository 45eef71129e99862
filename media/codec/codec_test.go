package codec_test

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/media/codec"
)

// output runs another program on src and returns what it writes.
func output(t testing.TB, src []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(src)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s, which this test needs: %v\n%s", name, err, stderr.String())
	}
	return out
}

// reference decodes src with another program, to 16-bit little endian samples.
func reference(t testing.TB, src []byte, name string, args ...string) []int16 {
	t.Helper()
	out := output(t, src, name, args...)
	samples := make([]int16, len(out)/2)
	if err := binary.Read(bytes.NewReader(out), binary.LittleEndian, samples); err != nil {
		t.Fatal(err)
	}
	return samples
}

func TestG711AgreesWithFFmpegAndSox(t *testing.T) {
	var codes []byte
	for i := range 256 {
		codes = append(codes, byte(i))
	}
	for _, c := range []struct {
		encoding    codec.Encoding
		ffmpeg, sox string
	}{
		{codec.PCMU, "mulaw", "u-law"},
		{codec.PCMA, "alaw", "a-law"},
	} {
		t.Run(c.encoding.String(), func(t *testing.T) {
			got := make([]int16, len(codes))
			if n := codec.Decode(got, c.encoding, codes); n != len(codes) {
				t.Fatalf("decoded %d samples of %d", n, len(codes))
			}
			ffmpeg := reference(t, codes, "ffmpeg", "-v", "error", "-f", c.ffmpeg, "-ar", "8000", "-i", "-", "-f", "s16le", "-")
			if d := cmp.Diff(ffmpeg, got); d != "" {
				t.Errorf("differs from ffmpeg (-want +got):\n%s", d)
			}
			sox := reference(t, codes, "sox", "-D", "-t", "raw", "-r", "8000", "-c", "1", "-b", "8", "-e", c.sox, "-",
				"-t", "raw", "-b", "16", "-e", "signed-integer", "-L", "-")
			if d := cmp.Diff(sox, got); d != "" {
				t.Errorf("differs from sox (-want +got):\n%s", d)
			}
		})
	}
}

func TestLinearSamplesAreLittleEndian(t *testing.T) {
	got := make([]int16, 4)
	n := codec.Decode(got, codec.L16, []byte{0x34, 0x12, 0xFF, 0xFF, 0x00})
	if d := cmp.Diff([]int16{0x1234, -1}, got[:n]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestSilenceIsTheSmallestSample(t *testing.T) {
	for e, want := range map[codec.Encoding]int16{codec.PCMU: 0, codec.PCMA: 8, codec.L16: 0} {
		got := make([]int16, 1)
		if codec.Decode(got, e, []byte{e.Silence(), e.Silence()}); got[0] != want {
			t.Errorf("%v: silence decodes to %d, want %d", e, got[0], want)
		}
	}
}

func TestEncodingValuesAreStoredInFiles(t *testing.T) {
	for value, name := range map[codec.Encoding]string{1: "PCMU", 2: "PCMA", 3: "L16"} {
		if value.String() != name || !value.Valid() {
			t.Errorf("encoding %d is %v", value, value)
		}
	}
	if codec.Encoding(0).Valid() || codec.Encoding(4).Valid() || codec.Encoding(4).BytesPerSample() != 0 {
		t.Error("an encoding that does not exist is valid")
	}
}
