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
	"iter"
	"os"

	"go.uber.org/zap"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage/seal"
)

// seal makes the two sealed files of a recording in the spool, unless they are there already: the sidecar is written last,
// so where it is, the audio is whole.
func (r *Recorder) seal(ctx context.Context, id string, key *seal.Key) (*Sidecar, error) {
	if path, ok := r.cfg.Spool.Staged(id, sidecarName); ok {
		return readSidecar(path, key)
	}
	h, err := readHistory(r.cfg.Spool.Read(id, key.SpoolKey()))
	if err == nil && h.fate != nil {
		return nil, &fatedError{*h.fate, h.entries[0]}
	}
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
	h.discard(&plan)
	side := h.sidecar(plan)
	h.describe(&side, plan)
	side.rate(&plan)
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

// storedAsWAV is the warning of a recording whose class asks for a format that could not be written.
const storedAsWAV = "stored-as-wav"

// sealAudio makes the sealed audio in the format of its class. A format that cannot hold the recording, or whose encoder fails, is
// no reason to lose it: then it is wav.
func (r *Recorder) sealAudio(ctx context.Context, id string, key *seal.Key, plan *media.Plan, side *Sidecar) error {
	format := formatFor(side.Class.Format, plan)
	err := r.sealAs(ctx, format, id, key, plan, side)
	if errors.Is(err, errEncoder) && format != policy.WAV {
		r.cfg.Log.Error("encode", zap.String("recording_id", id), zap.String("format", string(format)), zap.Error(err))
		format = policy.WAV
		err = r.sealAs(ctx, format, id, key, plan, side)
	}
	if wanted := side.Class.Format; format != wanted && wanted != "" {
		side.Warnings = append(side.Warnings, storedAsWAV)
	}
	return err
}

// sealAs goes through the sound once: it is written, hashed, sealed, and its levels are measured.
func (r *Recorder) sealAs(ctx context.Context, format policy.Format, id string, key *seal.Key, plan *media.Plan, side *Sidecar) error {
	levels := media.NewLevels(plan.Encoding, plan.Rate, plan.Channels)
	plain := newCounter(io.Discard)
	sealed, err := r.stage(id, audioName(format), key, func(w io.Writer) error {
		plain.w = w
		return writeSound(ctx, plain, format, plan, levels, blocks(r.cfg.Spool.Read(id, key.SpoolKey())))
	})
	if err != nil {
		return err
	}
	side.Audio.Format = format
	side.Audio.Size, side.Audio.SHA256 = plain.n, plain.sum()
	side.Audio.SealedSize, side.Audio.SealedSHA256 = sealed.n, sealed.sum()
	side.measured(levels.Results())
	return nil
}

// writeSound writes a whole file of the format. Its error is errEncoder when neither the blocks nor w nor the end of ctx is to blame.
func writeSound(ctx context.Context, w io.Writer, format policy.Format, plan *media.Plan, levels io.Writer, sound iter.Seq2[media.Block, error]) error {
	out := &gate{ctx: ctx, w: w}
	file, err := newSoundFile(out, format, plan)
	if err != nil && out.err == nil {
		return errors.Join(errEncoder, err)
	}
	if err != nil {
		return err
	}
	in := &gate{ctx: ctx, w: file}
	err = plan.Write(io.MultiWriter(levels, in), sound)
	if err == nil {
		err = file.Close()
		in.err = err
	}
	if err != nil && in.err != nil && out.err == nil && ctx.Err() == nil {
		err = errors.Join(errEncoder, err)
	}
	return err
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
