package recorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/media/flac"
	"github.com/greffier/greffier/media/wav"
	"github.com/greffier/greffier/policy"
)

// copyFramesAt is how many samples per channel are copied at once.
const copyFramesAt = 4096

// openSound gives the samples of a stored file, interleaved, and the plan of a file that holds the same. Nothing of it is held in memory
// but a buffer.
func openSound(file *io.SectionReader, format policy.Format) (io.Reader, media.Plan, error) {
	switch format {
	case policy.WAV:
		info, err := wav.Parse(file, file.Size())
		if err != nil {
			return nil, media.Plan{}, err
		}
		p := media.Plan{Encoding: codec.L16, Rate: info.SampleRate, Channels: info.Channels, Samples: info.Frames()}
		switch info.Tag {
		case wav.MuLaw:
			p.Encoding = codec.PCMU
		case wav.ALaw:
			p.Encoding = codec.PCMA
		}
		return io.NewSectionReader(file, info.DataOffset, p.DataBytes()), p, nil
	case policy.FLAC:
		d, err := flac.NewDecoder(file)
		if err != nil {
			return nil, media.Plan{}, err
		}
		return &linearReader{next: d.Next}, media.Plan{Encoding: codec.L16, Rate: d.Rate, Channels: d.Channels, Samples: d.Samples}, nil
	}
	return nil, media.Plan{}, fmt.Errorf("this version cannot read the format %q again", format)
}

// A linearReader gives decoded samples as bytes, little endian.
type linearReader struct {
	next func() ([]int16, error)
	rest []byte
	buf  []byte
}

func (l *linearReader) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		samples, err := l.next()
		if err != nil {
			return 0, err
		}
		l.buf = l.buf[:0]
		for _, s := range samples {
			l.buf = binary.LittleEndian.AppendUint16(l.buf, uint16(s))
		}
		l.rest = l.buf
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// A span is a stretch of all channels, in samples.
type span struct{ from, to int64 }

// spanOf widens a time to whole samples. It ends with the recording.
func spanOf(from, to time.Duration, p *media.Plan) span {
	at := func(d time.Duration) (whole, rest int64) {
		whole, rest = int64(d/time.Second)*int64(p.Rate), int64(d%time.Second)*int64(p.Rate) // apart, or a week overflows
		return whole + rest/int64(time.Second), rest % int64(time.Second)
	}
	first, _ := at(from)
	last, more := at(to)
	if more > 0 {
		last++
	}
	return span{min(first, p.Samples), min(last, p.Samples)}
}

// copyRedacted copies the samples of a plan, a span of them as silence.
func copyRedacted(dst io.Writer, src io.Reader, p *media.Plan, s span) error {
	frame := int64(p.Channels * p.Encoding.BytesPerSample())
	buf := make([]byte, copyFramesAt*frame)
	for at := int64(0); at < p.Samples; {
		n := min(copyFramesAt, p.Samples-at)
		part := buf[:n*frame]
		if _, err := io.ReadFull(src, part); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("read samples: %w", err)
		}
		if from, to := max(s.from, at), min(s.to, at+n); from < to {
			silent := part[(from-at)*frame : (to-at)*frame]
			for i := range silent {
				silent[i] = p.Encoding.Silence()
			}
		}
		if _, err := dst.Write(part); err != nil {
			return fmt.Errorf("write samples: %w", err)
		}
		at += n
	}
	return nil
}

// redactGaps adds a gap of every channel to a list, and takes what lies in it out of the others.
func redactGaps(gaps []Gap, s span, p *media.Plan) []Gap {
	from, to := float64(s.from)*1000/float64(p.Rate), float64(s.to)*1000/float64(p.Rate)
	var out []Gap
	for _, g := range gaps {
		end := g.StartMS + g.DurationMS
		before, after := g, g
		before.DurationMS = min(end, from) - g.StartMS
		after.StartMS = max(g.StartMS, to)
		after.DurationMS = end - after.StartMS
		if before.DurationMS > 0 {
			out = append(out, before)
		}
		if after.DurationMS > 0 {
			out = append(out, after)
		}
	}
	for c := range p.Channels {
		out = append(out, Gap{Channel: c, StartMS: from, DurationMS: to - from, Cause: media.CauseRedacted})
	}
	sort.SliceStable(out, func(i, j int) bool {
		if out[i].Channel != out[j].Channel {
			return out[i].Channel < out[j].Channel
		}
		return out[i].StartMS < out[j].StartMS
	})
	return out
}
