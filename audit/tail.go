package audit

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Tail gives the newest entries, the oldest of them first: those whose lines are in the last so many bytes of the log. Each is read as
// it stands, and how they hang together is not checked: Verify does. It does not wait for a commit, and gives no entry of one that goes on.
func (l *Log) Tail(limit int64) ([]Entry, error) {
	f, err := os.Open(filepath.Join(l.dir, logName))
	if err != nil {
		return nil, fmt.Errorf("read end of audit log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read end of audit log: %w", err)
	}
	from := max(0, info.Size()-limit)
	b, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return nil, fmt.Errorf("read end of audit log: %w", err)
	}
	if from > 0 { // the first line may have begun before
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	var out []Entry
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return out, nil
		}
		e, err := parseLine(line)
		if err != nil {
			return out, fmt.Errorf("read end of audit log: %w", err)
		}
		out, b = append(out, e), rest
	}
}
