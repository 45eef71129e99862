package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	headFormat  = 1
	slotSize    = 4096
	headSize    = 2 * slotSize
	slotSumSize = 2*sha256.Size + 1          // hex digits and a newline
	slotBody    = slotSize - slotSumSize     // what the digits are the hash of
	maxEdge     = 31                         // complete subtrees of a log of MaxEntries
	slotNeeds   = 67*maxEdge + 2*67 + 200    // the longest object: hashes in quotes with a comma, and the rest
	_           = uint(slotBody - slotNeeds) // does not compile when a slot is too small
)

// A head is one slot of the head file.
type head struct {
	Format     int    `json:"format"`
	Generation uint64 `json:"generation"`
	Entries    int64  `json:"entries"`
	Bytes      int64  `json:"bytes"`
	Last       Hash   `json:"last"`
	Edge       []Hash `json:"edge"`
	Root       Hash   `json:"root"`
}

func newHead(generation uint64, c *chain) head {
	h := head{
		Format: headFormat, Generation: generation, Entries: c.entries, Bytes: c.bytes, Last: c.last,
		Edge: make([]Hash, len(c.edge)), Root: c.root(),
	}
	for i, e := range c.edge {
		h.Edge[i] = Hash(e)
	}
	return h
}

func (h head) chain() chain {
	c := chain{entries: h.Entries, bytes: h.Bytes, last: h.Last}
	for _, e := range h.Edge {
		c.edge = append(c.edge, tlog.Hash(e))
	}
	return c
}

// slot gives the bytes of the slot and their place in the file.
func (h head) slot() ([]byte, int64, error) {
	text, err := json.Marshal(h)
	if err != nil || len(text) > slotBody-1 {
		return nil, 0, fmt.Errorf("encode head of %d bytes: %w", len(text), err)
	}
	b := append(make([]byte, 0, slotSize), text...)
	for len(b) < slotBody-1 {
		b = append(b, ' ')
	}
	b = append(b, '\n')
	sum := sha256.Sum256(b)
	b = append(hex.AppendEncode(b, sum[:]), '\n')
	return b, int64(h.Generation%2) * slotSize, nil
}

var errNoHead = errors.New("neither slot of the head file is whole")

// readHead reads the head file into b, which has its size; what is missing of it is zero.
func readHead(r io.ReaderAt, b []byte) ([]byte, error) {
	clear(b)
	if _, err := r.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read head: %w", err)
	}
	return b, nil
}

// parseHead returns the slot that counts. A slot that is torn or was never written counts for nothing.
func parseHead(b []byte) (head, error) {
	var best head
	found := false
	for i := range 2 {
		h, err := parseSlot(b[i*slotSize : (i+1)*slotSize])
		if errors.Is(err, errNoHead) || err == nil && h.Generation%2 != uint64(i) {
			continue
		}
		if err != nil {
			return h, err
		}
		if !found || h.Generation > best.Generation {
			best, found = h, true
		}
	}
	if !found {
		return best, errNoHead
	}
	return best, nil
}

func parseSlot(b []byte) (head, error) {
	var h head
	sum := sha256.Sum256(b[:slotBody])
	if hex.EncodeToString(sum[:])+"\n" != string(b[slotBody:]) {
		return h, errNoHead
	}
	if err := json.Unmarshal(b[:slotBody], &h); err != nil {
		return h, fmt.Errorf("head: %w", err)
	}
	if h.Format != headFormat {
		return h, fmt.Errorf("the log has format %d and this program knows %d: use the program that wrote it", h.Format, headFormat)
	}
	c := h.chain()
	if h.Entries < 0 || h.Bytes < 0 || len(h.Edge) != ones(h.Entries) || c.root() != h.Root {
		return h, errors.New("head contradicts itself")
	}
	return h, nil
}

// ones counts the complete subtrees of a tree with n leaves.
func ones(n int64) (count int) {
	for ; n > 0; n &= n - 1 {
		count++
	}
	return count
}
