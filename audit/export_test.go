package audit

import "io"

// A File is what a Log reads and writes.
type File interface {
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Truncate(size int64) error
	Datasync() error
	Close() error
}

// WithFaults returns options with wrap around log.jsonl and head.
func (o Options) WithFaults(wrap func(name string, f File) File) Options {
	o.wrap = func(name string, f file) file { return wrap(name, f) }
	return o
}

// WithRandom returns options that take their random numbers from next.
func (o Options) WithRandom(next func() string) Options {
	o.random = next
	return o
}

// Rewrite parses a line and writes it again.
func Rewrite(line []byte) ([]byte, error) {
	e, err := parseLine(line)
	if err != nil {
		return nil, err
	}
	d, err := newDraft(Event{e.ID, e.Time, e.Type, e.Subject, e.Outcome, e.Actor, e.Data}, e.Source)
	if err != nil {
		return nil, err
	}
	return d.place(e.Seq, e.PrevHash).Line, nil
}

// Queued tells how many entries wait for the next commit.
func (l *Log) Queued() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.next.drafts)
}
