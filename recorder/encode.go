package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/media/flac"
	"github.com/greffier/greffier/media/ogg"
	"github.com/greffier/greffier/media/wav"
	"github.com/greffier/greffier/policy"
)

// audioName is the name of the sealed audio, in the spool and at the end of its key in the store.
func audioName(f policy.Format) string { return "recording." + string(f) + ".age" }

func isAudioName(name string) bool {
	return slices.ContainsFunc(policy.Formats(), func(f policy.Format) bool { return name == audioName(f) })
}

// formatOf tells the format of an audio object by its key.
func formatOf(key string) policy.Format {
	for _, f := range policy.Formats() {
		if path.Base(key) == audioName(f) {
			return f
		}
	}
	return policy.WAV
}

// A soundFile takes the samples of a plan, interleaved and in its encoding, and writes a file of some format.
type soundFile interface {
	io.Writer
	// Close writes the file's end. It does not close what the file is written to.
	Close() error
}

// formatFor is the form in which a recording is stored: that of its class, if it can hold these channels at this rate, else wav, which
// can hold everything.
func formatFor(class policy.Format, plan *media.Plan) policy.Format {
	switch class {
	case policy.FLAC:
		if flacConfig(plan).Check() == nil {
			return class
		}
	case policy.Opus:
		if oggConfig(plan).Check() == nil {
			return class
		}
	}
	return policy.WAV
}

func flacConfig(p *media.Plan) flac.Config {
	return flac.Config{Rate: p.Rate, Channels: p.Channels, Samples: p.Samples}
}

func oggConfig(p *media.Plan) ogg.Config { return ogg.Config{Rate: p.Rate, Channels: p.Channels} }

// newSoundFile begins a file.
func newSoundFile(w io.Writer, f policy.Format, plan *media.Plan) (soundFile, error) {
	var e sampleWriter
	var err error
	switch f {
	case policy.WAV:
		file := &wavFile{w: w, size: plan.DataBytes()}
		_, err := w.Write(wav.Header(wavFormat(plan.Encoding, plan.Rate, plan.Channels), file.size))
		return file, err
	case policy.FLAC:
		e, err = flac.NewEncoder(w, flacConfig(plan))
	case policy.Opus:
		e, err = ogg.NewEncoder(w, oggConfig(plan))
	default:
		err = fmt.Errorf("this version cannot write the format %q", f)
	}
	if err != nil {
		return nil, err
	}
	return &linearFile{encoder: e, encoding: plan.Encoding, frame: plan.Channels * plan.Encoding.BytesPerSample()}, nil
}

func wavFormat(e codec.Encoding, rate, channels int) wav.Format {
	f := wav.Format{Tag: wav.PCM, SampleRate: rate, Channels: channels, BitsPerSample: 8 * e.BytesPerSample()}
	switch e {
	case codec.PCMU:
		f.Tag = wav.MuLaw
	case codec.PCMA:
		f.Tag = wav.ALaw
	}
	return f
}

// A wavFile stores samples as they come.
type wavFile struct {
	w    io.Writer
	size int64
}

func (f *wavFile) Write(p []byte) (int, error) { return f.w.Write(p) }

func (f *wavFile) Close() error {
	_, err := f.w.Write(make([]byte, wav.Padding(f.size)))
	return err
}

// A sampleWriter is an encoder of linear samples.
type sampleWriter interface {
	Write(samples []int16) error
	Close() error
}

// A linearFile makes linear samples of what comes, and encodes them.
type linearFile struct {
	encoder  sampleWriter
	encoding codec.Encoding
	frame    int // bytes; plans write whole frames
	samples  []int16
}

// errEncoder is a defect of an encoder, and no fault of disk or recording: another format may still be written.
var errEncoder = errors.New("the encoder failed")

func (f *linearFile) Write(p []byte) (n int, err error) {
	defer contain(&err)
	if len(p)%f.frame != 0 {
		return 0, fmt.Errorf("encode samples: %d bytes are no whole frames", len(p))
	}
	if need := len(p) / f.encoding.BytesPerSample(); cap(f.samples) < need {
		f.samples = make([]int16, need)
	}
	s := f.samples[:cap(f.samples)]
	s = s[:codec.Decode(s, f.encoding, p)]
	if err := f.encoder.Write(s); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *linearFile) Close() (err error) {
	defer contain(&err)
	return f.encoder.Close()
}

// contain turns an encoder's panic into an error.
func contain(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: panic: %v", errEncoder, p)
	}
}

// A gate passes bytes on until its context ends, and remembers whether what is behind it failed. Encoding an hour may take longer
// than a stop may.
type gate struct {
	ctx context.Context
	w   io.Writer
	err error
}

func (g *gate) Write(p []byte) (int, error) {
	if err := g.ctx.Err(); err != nil {
		g.err = err
		return 0, err
	}
	n, err := g.w.Write(p)
	if err != nil {
		g.err = err
	}
	return n, err
}
