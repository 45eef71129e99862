package main

import (
	"bytes"
	"encoding/binary"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// encoded is the sound of a source as ffmpeg encodes it, in packets of size octets for each 20 ms.
func encoded(t *testing.T, source siprectest.Source, d time.Duration, format siprec.Format, size int, args ...string) *siprectest.Encoded {
	t.Helper()
	samples := make([]int16, d*8000/time.Second)
	source.Read(samples, 0)
	var pcm bytes.Buffer
	for _, v := range samples {
		pcm.Write(binary.LittleEndian.AppendUint16(nil, uint16(v)))
	}
	cmd := exec.Command("ffmpeg", append(append([]string{"-v", "error", "-f", "s16le", "-ar", "8000", "-ac", "1", "-i", "-", "-map", "0:a"}, args...), "-")...)
	cmd.Stdin = &pcm
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("encode with ffmpeg (scripts/tools.sh installs it): %v", err)
	}
	e := &siprectest.Encoded{Format: format}
	for ; len(out) >= size; out = out[size:] {
		e.Packets = append(e.Packets, out[:size])
	}
	return e
}

// TestCodecs: one party speaks another codec than the other; both are found where they spoke, at the higher rate.
func TestCodecs(t *testing.T) {
	left := siprectest.Bursts(440, time.Second, 100*time.Millisecond)
	for name, c := range map[string]struct {
		encoded *siprectest.Encoded
		rate    int
	}{
		"G722": {encoded(t, left, 6*time.Second, siprec.Format{PayloadType: 9, Encoding: "G722", ClockRate: 8000, Channels: 1}, 160,
			"-ar", "16000", "-c:a", "g722", "-f", "g722"), 16000},
		"opus": {encoded(t, left, 6*time.Second, siprec.Format{PayloadType: 111, Encoding: "opus", ClockRate: 48000, Channels: 2, Params: "useinbandfec=1"}, 60,
			"-c:a", "libopus", "-application", "voip", "-vbr", "off", "-b:a", "24k", "-f", "data"), 48000},
		"L16": {encoded(t, left, 6*time.Second, siprec.Format{PayloadType: 110, Encoding: "L16", ClockRate: 16000, Channels: 1}, 640,
			"-ar", "16000", "-c:a", "pcm_s16be", "-f", "s16be"), 16000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := start(t, dir, recordAll)
			spec := bursts()
			spec.Streams[0].Encoded = c.encoded
			spec.Streams[0].Formats = []siprec.Format{c.encoded.Format, siprectest.PCMU, siprectest.TelephoneEvent}
			truth := converse(t, s.src("tcp"), spec, 4*time.Second)
			rows := settle(t, dir, 1, 20*time.Second)
			if len(rows) != 1 {
				t.Fatalf("%d recordings, want 1", len(rows))
			}
			report := judge(t, dir, rows[0], truth, siprectest.DefaultLimits)
			if _, rate := play(t, dir, rows[0].ID); rate != c.rate {
				t.Errorf("the recording has %d Hz, want %d", rate, c.rate)
			}
			t.Logf("%s: misalignment %s, length error %s", strconv.Itoa(c.rate), report.Misalignment, report.LengthError)
			verifyGood(t, dir)
		})
	}
}

// TestG729Program: a decoder program that does not decode is found out at the start, one that does is used.
func TestG729Program(t *testing.T) {
	good := filepath.Join(t.TempDir(), "greffier-g729")
	if out, err := exec.Command("go", "build", "-C", "../../contrib/g729", "-o", good, ".").CombinedOutput(); err != nil {
		t.Fatalf("build contrib/g729 (scripts/tools.sh installs what it needs): %v: %s", err, out)
	}
	if err := tryG729(good); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"/bin/true", "/bin/cat", filepath.Join(t.TempDir(), "nothing")} {
		if err := tryG729(bad); err == nil {
			t.Errorf("%s passes for a decoder", bad)
		}
	}
	s := start(t, t.TempDir(), recordAll, "--media-g729", good)
	spec := bursts()
	for i := range spec.Streams {
		spec.Streams[i].Formats = []siprec.Format{{PayloadType: 18, Encoding: "G729", ClockRate: 8000, Channels: 1}}
	}
	call, err := s.src("udp").Invite(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if m := call.Answer().Media[0]; m.Addr.Port() == 0 || len(m.Formats) != 1 {
		t.Errorf("G.729 is answered %s", call.Answer().Raw)
	}
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
