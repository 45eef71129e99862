package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"
)

const (
	// externalPatience is how long a program may keep a decoder waiting in vain, over all of the stream: other streams wait with it.
	externalPatience = 250 * time.Millisecond
	// maxExternalStarts is how often a decoder starts its program: once, and again after it died or was too slow.
	maxExternalStarts = 5
)

// External makes a decoder of G.729 that has the program at path do the work, one process for this decoder alone; contrib/g729
// is such a program, and says how it is spoken to. The process is started here. When it dies, the payload that it had is
// silence and Decode fails; for the next one it is started again, a few times.
//
// The decoder has a method Close too (io.Closer), which ends the process and waits for it. A decoder that is dropped without
// ends it when it is collected.
func External(path string) (Decoder, error) {
	d := &external{path: path, patience: externalPatience, answer: make([]byte, 2+2*g729Frames*g729Samples), question: make([]byte, 2+g729Frames*g729Frame)}
	if err := d.start(); err != nil {
		return nil, err
	}
	return d, nil
}

// external is a decoder in a process of its own.
type external struct {
	path     string
	starts   int
	patience time.Duration // what is left of it
	process  *process      // nil when it is dead
	cleanup  runtime.Cleanup
	question []byte
	answer   []byte
}

// A process is a running program and the pipes to it.
type process struct {
	cmd     *exec.Cmd
	in, out *os.File // its stdin and its stdout
}

// start starts the program.
func (d *external) start() error {
	if d.patience <= 0 {
		return fmt.Errorf("start %s: it kept this stream waiting; run it by hand and see what it does", d.path)
	}
	if d.starts == maxExternalStarts {
		return fmt.Errorf("start %s: it died %d times in this stream; run it by hand and see what it says", d.path, d.starts)
	}
	d.starts++
	theirIn, in, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe to %s: %w", d.path, err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("make pipe from %s: %w", d.path, err), theirIn.Close(), in.Close())
	}
	cmd := exec.Command(d.path)
	cmd.Env = []string{} // it needs nothing of ours
	cmd.Stdin, cmd.Stdout = theirIn, theirOut
	err = cmd.Start()
	_, _ = theirIn.Close(), theirOut.Close() // the child has its own
	if err != nil {
		_, _ = in.Close(), out.Close()
		return fmt.Errorf("start decoder program: %w", err)
	}
	d.process = &process{cmd: cmd, in: in, out: out}
	d.cleanup = runtime.AddCleanup(d, (*process).stop, d.process)
	return nil
}

// stop ends the program and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Kill() // it has no state worth an orderly end
	_ = p.cmd.Wait()
	_, _ = p.in.Close(), p.out.Close()
}

// Close ends the program. The decoder is not used after it.
func (d *external) Close() error {
	if d.process != nil {
		d.cleanup.Stop()
		d.process.stop()
		d.process = nil
	}
	d.starts = maxExternalStarts
	return nil
}

// Reset has the program forget what came before.
func (d *external) Reset() {
	if d.process != nil {
		if err := d.ask(nil, 0); err != nil {
			d.died()
		}
	}
}

// Recover appends nothing: G.729 has no redundancy.
func (d *external) Recover(dst []int16, _ []byte, _ int) ([]int16, error) {
	return dst, nil
}

// Frames lists frames of 10 ms.
func (d *external) Frames(dst []Frame, payload []byte) ([]Frame, error) {
	return g729List(dst, payload)
}

// Decode has the program decode a payload.
func (d *external) Decode(dst []int16, payload []byte) ([]int16, error) {
	var list [g729Frames]Frame
	frames, err := g729List(list[:0], payload)
	if err != nil || len(frames) == 0 {
		return dst, err
	}
	dst, out := extend(dst, len(frames)*g729Samples)
	clear(out)
	if d.process == nil {
		if err := d.start(); err != nil {
			return dst, err
		}
	}
	if err := d.ask(payload, 2*len(out)); err != nil {
		d.died()
		return dst, fmt.Errorf("decode G.729 payload of %d bytes, which is now silence, with %s: %w", len(payload), d.path, err)
	}
	for i, f := range frames {
		if f.Kind != Sound {
			continue
		}
		for j := range g729Samples {
			at := i*g729Samples + j
			out[at] = int16(binary.LittleEndian.Uint16(d.answer[2+2*at:]))
		}
	}
	return dst, nil
}

// ask sends one message and reads the answer, of so many bytes, to d.answer.
func (d *external) ask(payload []byte, want int) (err error) {
	begun := time.Now()
	defer func() {
		if err != nil {
			d.patience -= time.Since(begun)
		}
	}()
	deadline := begun.Add(d.patience)
	if err := errors.Join(d.process.in.SetWriteDeadline(deadline), d.process.out.SetReadDeadline(deadline)); err != nil {
		return err
	}
	binary.BigEndian.PutUint16(d.question, uint16(len(payload)))
	if _, err := d.process.in.Write(d.question[:2+copy(d.question[2:], payload)]); err != nil {
		return err
	}
	if _, err := io.ReadFull(d.process.out, d.answer[:2]); err != nil {
		return err
	}
	if n := int(binary.BigEndian.Uint16(d.answer)); n != want {
		return fmt.Errorf("it answers %d bytes, want %d", n, want)
	}
	_, err = io.ReadFull(d.process.out, d.answer[2:2+want])
	return err
}

// died buries a process that does not answer as it should.
func (d *external) died() {
	d.cleanup.Stop()
	d.process.stop()
	d.process = nil
}
