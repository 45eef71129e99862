package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// commit appends entries durably and returns them. The lock between processes is held. It begins by taking over what
// other processes, or a crash, have left, and does that alone when there are no drafts.
func (l *Log) commit(drafts []*draft) ([]Entry, error) {
	h, err := l.catchUp()
	if err != nil {
		l.state.rawHead = nil
		return nil, err
	}
	own, err := l.ownDrafts()
	if err != nil {
		return nil, err
	}
	c := l.state.chain.clone()
	if c.entries+int64(len(own)+len(drafts)) > MaxEntries {
		return nil, fmt.Errorf("the log has its greatest number of entries, %d: start a new one in another directory", c.entries)
	}
	if len(own)+len(drafts) == 0 && c.entries == h.Entries {
		return nil, nil
	}
	var lines []byte
	entries := make([]Entry, 0, len(drafts))
	for i, d := range append(own, drafts...) {
		e := d.place(c.entries, c.last)
		c.add(e)
		lines = append(append(lines, e.Line...), '\n')
		if i >= len(own) {
			entries = append(entries, e)
		}
	}
	if err := l.write(lines, &c); err != nil {
		l.state.rawHead = nil
		return nil, err
	}
	return entries, nil
}

// ownDrafts are the entries that the log itself has to write first.
func (l *Log) ownDrafts() ([]*draft, error) {
	var e Event
	switch {
	case l.state.chain.entries == 0:
		e.Type, e.Data = TypeCreated, struct {
			Format int    `json:"format"`
			Log    string `json:"log"`
		}{lineFormat, l.opts.random()}
	case l.state.cut > 0:
		e.Type, e.Data = TypeRepaired, map[string]int64{"cut": l.state.cut}
	default:
		return nil, nil
	}
	e.ID, e.Time = l.opts.random(), l.opts.Clock()
	d, err := newDraft(e, l.opts.Source)
	if err != nil {
		return nil, err
	}
	return []*draft{d}, nil
}

// write puts lines on the disk, then the head that covers them.
func (l *Log) write(lines []byte, c *chain) error {
	s := &l.state
	_, err := l.lines.WriteAt(lines, s.chain.bytes)
	if err == nil {
		err = l.lines.Datasync()
	}
	if err != nil {
		// After a failed sync the kernel may hold pages that it will not write again: away with them.
		return errors.Join(fmt.Errorf("write entries: %w", err), l.lines.Truncate(s.chain.bytes))
	}
	generation := s.generation + 1
	if s.doubtful != 0 && generation%2 != s.doubtful%2 {
		generation++ // into the slot that is in doubt, not over the one that is sure
	}
	slot, off, err := newHead(generation, c).slot()
	if err != nil {
		return err
	}
	if _, err = l.headFile.WriteAt(slot, off); err == nil {
		err = l.headFile.Datasync()
	}
	if err != nil {
		s.doubtful = generation
		return fmt.Errorf("write head: %w", err)
	}
	copy(s.rawHead[off:], slot)
	s.chain, s.generation, s.doubtful, s.cut = *c, generation, 0, 0
	s.seen, s.seenLast = c.entries, c.last
	return nil
}

// catchUp brings the state to the end of the log, and returns the head.
func (l *Log) catchUp() (head, error) {
	if l.scratch == nil {
		l.scratch = make([]byte, headSize)
	}
	raw, err := readHead(l.headFile, l.scratch)
	if err != nil {
		return head{}, err
	}
	size, err := l.lines.Size()
	if err != nil {
		return head{}, err
	}
	s := &l.state
	if bytes.Equal(raw, s.rawHead) && size == s.chain.bytes {
		return head{Entries: s.chain.entries}, nil
	}
	h, err := parseHead(raw)
	if err != nil {
		return h, &VerifyError{0, BadHead, err.Error()}
	}
	switch {
	case h.Entries < s.seen || h.Entries == s.seen && h.Last != s.seenLast:
		return h, &VerifyError{h.Entries, Truncated, fmt.Sprintf("this process has seen %d entries, or others, in this log", s.seen)}
	case size < h.Bytes:
		return h, &VerifyError{h.Entries - 1, Truncated, fmt.Sprintf("head says %d bytes, and there are %d", h.Bytes, size)}
	}
	if err := l.checkLast(h); err != nil {
		return h, err
	}
	s.chain, s.generation, s.rawHead = h.chain(), h.Generation, bytes.Clone(raw)
	s.seen, s.seenLast = h.Entries, h.Last
	return h, l.takeTail(h, size)
}

// takeTail takes over the whole entries behind the head, and cuts off the rest.
func (l *Log) takeTail(h head, size int64) error {
	s := &l.state
	err := follow(io.NewSectionReader(l.lines, h.Bytes, size-h.Bytes), &s.chain, nil)
	var broken *VerifyError
	if err == nil || !errors.As(err, &broken) {
		return err
	}
	if err := l.lines.Truncate(s.chain.bytes); err != nil {
		return fmt.Errorf("cut off a torn entry: %w", err)
	}
	s.cut += size - s.chain.bytes
	return nil
}

// checkLast compares the last line that the head covers with the head.
func (l *Log) checkLast(h head) error {
	if h.Entries == 0 {
		return nil
	}
	b := make([]byte, min(h.Bytes, MaxLine+2)) // its newline, and the one before
	if _, err := l.lines.ReadAt(b, h.Bytes-int64(len(b))); err != nil {
		return fmt.Errorf("read last entry: %w", err)
	}
	b, ok := bytes.CutSuffix(b, []byte("\n"))
	line := b[bytes.LastIndexByte(b, '\n')+1:]
	if !ok || Hash(sha256.Sum256(line)) != h.Last {
		return &VerifyError{h.Entries - 1, Altered, "the last entry is not the one that the head names"}
	}
	return nil
}
