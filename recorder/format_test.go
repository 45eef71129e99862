package recorder_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
)

// policyWith is record-all with another format.
func policyWith(t *testing.T, format policy.Format) string {
	t.Helper()
	text, err := os.ReadFile(recordAll)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "sample: 100%", "sample: 100%\n    format: "+string(format), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFormats: in every format a recording is found again by its key, verified, indexed anew and decoded by another program to
// what was said, though a process died between its two files.
func TestFormats(t *testing.T) {
	for _, format := range policy.Formats() {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			name := "recording." + string(format) + ".age"
			dir, store, file := t.TempDir(), newFake(t), policyWith(t, format)
			first := newBench(t, dir, store, file, false)
			first.record("call")
			ids, err := first.spool.List()
			if err != nil || len(ids) != 1 {
				t.Fatalf("the spool holds %v, %v", ids, err)
			}
			half, err := first.spool.Stage(ids[0], name) // a process that sealed the audio, and died
			if err != nil {
				t.Fatal(err)
			}
			if _, err := half.Write([]byte("of another process")); err != nil {
				t.Fatal(err)
			}
			if err := half.Commit(); err != nil {
				t.Fatal(err)
			}
			first.stop()

			b := newBench(t, dir, store, file, true)
			row := b.locked(1)[0]
			b.agree()
			if !strings.HasSuffix(row.Audio.Key, "/"+name) {
				t.Errorf("the audio is %s", row.Audio.Key)
			}
			if row.Quality.MOS != 4.41 || row.Quality.Loss != 0 {
				t.Errorf("quality %+v of a call without loss", row.Quality)
			}
			_, side, err := b.archive.Show(t.Context(), row.ID, "test")
			if err != nil {
				t.Fatal(err)
			}
			if side.Audio.Format != format || side.Waveform == nil || len(side.Waveform.Channels) != 2 || side.Channels[0].Levels == nil || side.Channels[1].Quality == nil {
				t.Errorf("sidecar: %+v, waveform %v, %+v", side.Audio, side.Waveform, side.Channels)
			}
			if wave, err := b.archive.Waveform(t.Context(), row.ID, "test"); err != nil || wave == nil {
				t.Errorf("waveform: %v, %v", wave, err)
			}
			b.hears(row, format, side.Audio.Samples)

			if err := b.archive.Catalog.Delete(t.Context(), row.ID); err != nil {
				t.Fatal(err)
			}
			if rep, err := b.archive.Rebuild(t.Context(), func(int) {}); err != nil || rep.Recordings != 1 || len(rep.Problems) > 0 {
				t.Errorf("rebuild: %+v, %v", rep, err)
			}
			if again, err := b.archive.Catalog.Get(t.Context(), row.ID); err != nil || again.Quality != row.Quality || again.Audio != row.Audio {
				t.Errorf("the rebuilt row is %+v, %v", again, err)
			}
			b.agree()
		})
	}
}

// hears plays a recording and has ffmpeg decode it: so many samples, and both parties, who said the constants 0x10 and 0x11 in
// mu-law, for half a second, loud on their channels.
func (b *bench) hears(row catalog.Recording, format policy.Format, samples int64) {
	b.t.Helper()
	sound, err := b.archive.Play(b.t.Context(), row.ID, "test", "", "")
	if err != nil {
		b.t.Fatal(err)
	}
	defer sound.Close()
	if sound.Format != format {
		b.t.Errorf("it plays as %s", sound.Format)
	}
	file, err := io.ReadAll(sound)
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command("ffmpeg", "-v", "error", "-i", "-", "-ar", "48000", "-f", "s16le", "-")
	cmd.Stdin = bytes.NewReader(file)
	pcm, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("ffmpeg, which this test needs: %v", err)
	}
	if got := int64(len(pcm) / 4); got != 6*samples && format != policy.WAV && format != policy.FLAC { // of those the resampler holds some back
		b.t.Errorf("%d samples at 48 kHz, want %d", got, 6*samples)
	}
	for c := range 2 {
		loud := 0
		for i := 2 * c; i+1 < len(pcm); i += 4 {
			if v := int16(binary.LittleEndian.Uint16(pcm[i:])); v > 4000 || v < -4000 {
				loud++
			}
		}
		if loud < 48000/100 { // a constant has no sound for Opus but its edges
			b.t.Errorf("channel %d is loud for %d samples", c, loud)
		}
	}
}

// TestWaveformOfNothing: what has no sound has no waveform, and every reason has its error.
func TestWaveformOfNothing(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), recordAll, true)
	ask := func(id string, want error) {
		t.Helper()
		if wave, err := b.archive.Waveform(t.Context(), id, "test"); !errors.Is(err, want) || wave != nil {
			t.Errorf("a waveform of %v, %v, want %v", wave, err, want)
		}
	}
	ask("nobody", catalog.ErrNotFound)
	in := invitation("open")
	if _, err := b.Begin(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	rows, err := b.archive.Catalog.List(t.Context(), catalog.Query{})
	if err != nil || len(rows) != 1 {
		t.Fatalf("catalog has %v, %v", rows, err)
	}
	ask(rows[0].ID, recorder.ErrNotFinished)
	b.End(in.Dialog, siprec.EndBye, time.Now())
	b.locked(1)
	if err := b.archive.Keys.Destroy(t.Context(), rows[0].ID); err != nil {
		t.Fatal(err)
	}
	ask(rows[0].ID, recorder.ErrNotPlayable)
}

// TestLostPacketsAreRated: what is missing lowers the figures that a search goes by.
func TestLostPacketsAreRated(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), recordAll, true)
	in := invitation("call")
	answer, err := b.Begin(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	say(t, answer.Media[0].Port, 1, 25, 0x20)
	sayBut(t, answer.Media[1].Port, 2, 25, 0x20, func(i int) bool { return i >= 10 && i < 13 })
	b.End(in.Dialog, siprec.EndBye, time.Now().Add(500*time.Millisecond))
	b.locked(1)
	for _, c := range []struct {
		query catalog.Query
		want  int
	}{
		{catalog.Query{MOSBelow: 3.5}, 1}, {catalog.Query{MOSBelow: 1}, 0}, {catalog.Query{ByLoss: true, LossAbove: 0.11}, 1}, {catalog.Query{ByLoss: true, LossAbove: 0.12}, 0},
	} {
		rows, err := b.archive.Find(t.Context(), c.query)
		if err != nil || len(rows) != c.want {
			t.Errorf("%+v finds %d: %v", c.query, len(rows), err)
		}
		if len(rows) == 1 && rows[0].Quality.LongestGap != 60*time.Millisecond {
			t.Errorf("quality %+v", rows[0].Quality)
		}
	}
	b.agree()
}
