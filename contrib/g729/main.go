// SPDX-License-Identifier: GPL-3.0-or-later

// Program greffier-g729 decodes G.729 (annexes A and B) for greffier, which may not link the library it stands on: bcg729 is
// under the GPL. It is a program of its own, under the GPL version 3 or later; greffier starts one for each stream.
//
// It reads messages from stdin and answers each on stdout. A message is two bytes of length, the high one first, and so many
// bytes. The question is an RTP payload (RFC 3551 section 4.5.6): frames of 10 bytes, then perhaps a silence descriptor of 2.
// The answer is 80 samples for each, linear 16 bit, little endian. An empty question forgets the stream, its answer is empty.
// The program ends with its input, and with an error at a question that is no such payload.
//
// Build it with cgo and Debian's libbcg729-dev: go build -o greffier-g729 .
package main

// #cgo LDFLAGS: -lbcg729
// #include <bcg729/decoder.h>
import "C"

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	frameBytes   = 10  // a frame of speech: 10 ms at 8 kbit/s
	sidBytes     = 2   // a silence descriptor (annex B)
	frameSamples = 80  // at 8000 Hz
	maxFrames    = 100 // of one payload: one second
)

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "greffier-g729:", err)
		os.Exit(1)
	}
}

// serve answers until the input ends.
func serve(r io.Reader, w io.Writer) error {
	in, out := bufio.NewReader(r), bufio.NewWriter(w)
	state := C.initBcg729DecoderChannel()
	defer func() { C.closeBcg729DecoderChannel(state) }()
	var question [maxFrames * frameBytes]byte
	var samples [maxFrames * frameSamples]int16
	for {
		n, err := read(in, question[:])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read payload: %w", err)
		}
		if n == 0 {
			C.closeBcg729DecoderChannel(state)
			state = C.initBcg729DecoderChannel()
		}
		pcm, err := decode(state, samples[:0], question[:n])
		if err != nil {
			return err
		}
		if err := write(out, pcm); err != nil {
			return fmt.Errorf("write samples: %w", err)
		}
	}
}

// read reads one message into b. It fails with io.EOF only where a message would begin.
func read(r io.Reader, b []byte) (int, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n > len(b) {
		return 0, fmt.Errorf("%d bytes, at most %d are taken", n, len(b))
	}
	if _, err := io.ReadFull(r, b[:n]); err != nil {
		return 0, fmt.Errorf("cut short: %v", err)
	}
	return n, nil
}

// decode appends the samples of a payload.
func decode(state *C.bcg729DecoderChannelContextStruct, dst []int16, payload []byte) ([]int16, error) {
	for len(payload) > 0 {
		n, sid := frameBytes, C.uint8_t(0)
		if len(payload) == sidBytes {
			n, sid = sidBytes, 1
		}
		if len(payload) < n {
			return dst, fmt.Errorf("decode payload: %d bytes at its end are no frame", len(payload))
		}
		var out [frameSamples]C.int16_t
		C.bcg729Decoder(state, (*C.uint8_t)(&payload[0]), C.uint8_t(n), 0, sid, 0, &out[0])
		for _, v := range out {
			dst = append(dst, int16(v))
		}
		payload = payload[n:]
	}
	return dst, nil
}

// write writes one message.
func write(w *bufio.Writer, pcm []int16) error {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], uint16(2*len(pcm)))
	_, _ = w.Write(b[:]) // an error stays with the writer until Flush
	for _, v := range pcm {
		binary.LittleEndian.PutUint16(b[:], uint16(v))
		_, _ = w.Write(b[:])
	}
	return w.Flush()
}
