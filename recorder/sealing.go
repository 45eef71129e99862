package recorder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/media/wav"
	"github.com/greffier/greffier/storage/seal"
)

// seal makes the two sealed files of a recording in the spool, unless they are there already: the sidecar is written last,
// so where it is, the audio is whole.
func (r *Recorder) seal(ctx context.Context, id string, key *seal.Key) (*Sidecar, error) {
	if path, ok := r.cfg.Spool.Staged(id, sidecarName); ok {
		return readSidecar(path, key)
	}
	h, err := readHistory(r.cfg.Spool.Read(id, key.SpoolKey()))
	if err == nil && !h.ended { // only what has an end is sealed
		if err := r.closeOpen(ctx, id, key, h); err != nil {
			return nil, err
		}
		h, err = readHistory(r.cfg.Spool.Read(id, key.SpoolKey()))
	}
	if err != nil {
		return nil, err
	}
	plan := h.plan()
	side := h.sidecar(plan)
	if err := r.sealAudio(ctx, id, key, &plan, &side); err != nil {
		return nil, fmt.Errorf("seal audio: %w", err)
	}
	doc, err := json.MarshalIndent(side, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode sidecar: %w", err)
	}
	if _, err := r.stage(id, sidecarName, key, func(w io.Writer) error { _, err := w.Write(doc); return err }); err != nil {
		return nil, fmt.Errorf("seal sidecar: %w", err)
	}
	return &side, nil
}

func (r *Recorder) sealAudio(ctx context.Context, id string, key *seal.Key, plan *media.Plan, side *Sidecar) error {
	format := wavFormat(plan.Encoding, plan.Rate, plan.Channels)
	size := plan.DataBytes()
	plain := newCounter(io.Discard)
	sealed, err := r.stage(id, audioName, key, func(w io.Writer) error {
		plain.w = w
		if _, err := plain.Write(wav.Header(format, size)); err != nil {
			return err
		}
		if err := plan.Write(plain, blocks(r.cfg.Spool.Read(id, key.SpoolKey()))); err != nil {
			return err
		}
		if pad := wav.Padding(size); pad > 0 {
			if _, err := plain.Write(make([]byte, pad)); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	side.Audio.Size, side.Audio.SHA256 = plain.n, plain.sum()
	side.Audio.SealedSize, side.Audio.SealedSHA256 = sealed.n, sealed.sum()
	return nil
}

// stage writes one sealed file into the spool, durably, and tells what it came to.
func (r *Recorder) stage(id, name string, key *seal.Key, write func(io.Writer) error) (*counter, error) {
	file, err := r.cfg.Spool.Stage(id, name)
	if err != nil {
		return nil, err
	}
	sealed := newCounter(file)
	err = func() error {
		w, err := key.Encrypt(sealed)
		if err != nil {
			return err
		}
		if err := write(w); err != nil {
			return err
		}
		return w.Close()
	}()
	if err != nil {
		return nil, errors.Join(err, file.Abort())
	}
	return sealed, file.Commit()
}

// A counter passes bytes on, counts and hashes them.
type counter struct {
	w io.Writer
	n int64
	h hash.Hash
}

func newCounter(w io.Writer) *counter { return &counter{w: w, h: sha256.New()} }

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.h.Write(p[:n])
	return n, err
}

func (c *counter) sum() string { return hex.EncodeToString(c.h.Sum(nil)) }

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

// readSidecar opens a sealed sidecar from a file.
func readSidecar(path string, key *seal.Key) (*Sidecar, error) {
	sealed, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read sidecar: %w", err)
	}
	return openSidecar(bytes.NewReader(sealed), int64(len(sealed)), key)
}

// maxSidecar bounds what is read of a sidecar, in bytes: some thousand metadata updates.
const maxSidecar = 64 << 20

func openSidecar(sealed io.ReaderAt, size int64, key *seal.Key) (*Sidecar, error) {
	plain, err := key.Decrypt(sealed, size)
	if err != nil {
		return nil, fmt.Errorf("open sidecar: %w", err)
	}
	var s Sidecar
	if err := json.NewDecoder(io.LimitReader(plain, maxSidecar)).Decode(&s); err != nil {
		return nil, fmt.Errorf("decode sidecar: %w", err)
	}
	if s.Format != SidecarFormat {
		return nil, fmt.Errorf("sidecar has format %q; this program reads %q: use the version that wrote it", s.Format, SidecarFormat)
	}
	return &s, nil
}
