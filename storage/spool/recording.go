package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// maxName is the longest id or name of a staged file in bytes; file systems allow 255, and temporary names are longer.
const maxName = 128

// checkName accepts what is a file name everywhere: letters, digits, dot, dash, underscore, not beginning with a sign.
func checkName(s string) error {
	ok := len(s) > 0 && len(s) <= maxName
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		ok = ok && (alnum || i > 0 && (c == '.' || c == '-' || c == '_'))
	}
	if !ok {
		return fmt.Errorf("%.140q is not a name of 1 to %d letters, digits, dots, dashes and underscores", s, maxName)
	}
	return nil
}

func (s *Spool) folder(id string) string { return filepath.Join(s.dir, recordingsDir, id) }

// unique returns a path below parent that nothing else has.
func (s *Spool) unique(parent, id string) string {
	return filepath.Join(s.dir, parent, id+"."+rand.Text())
}

// Create makes a recording and opens it for appending. When it returns, the recording would survive a loss of power.
// ErrExists: there is one of that id.
func (s *Spool) Create(id string, key [32]byte) (*Writer, error) {
	w, err := s.open(id, key, s.create)
	if err != nil {
		return nil, fmt.Errorf("create recording %s: %w", id, err)
	}
	return w, nil
}

// Reopen opens a recording for appending again. A torn tail is cut off (Writer.Dropped tells its length); damage in
// the middle stays, and is shown to every Reader. ErrNotFound; ErrInUse; ErrDamaged when key does not open the file.
func (s *Spool) Reopen(id string, key [32]byte) (*Writer, error) {
	w, err := s.open(id, key, s.reopen)
	if err != nil {
		return nil, fmt.Errorf("reopen recording %s: %w", id, err)
	}
	return w, nil
}

// open reserves the id, lets how prepare the writer, and enlists it.
func (s *Spool) open(id string, key [32]byte, how func(*Writer) error) (*Writer, error) {
	if err := checkName(id); err != nil {
		return nil, err
	}
	if err := s.reserve(id); err != nil {
		return nil, err
	}
	w := &Writer{spool: s, id: id, key: key}
	err := how(w)
	if err == nil {
		err = s.enlist(w)
	}
	if err != nil {
		if w.f != nil {
			err = errors.Join(err, w.f.Close())
		}
		s.release(id)
		return nil, classify(err)
	}
	return w, nil
}

// create prepares the recording aside and renames it into place.
func (s *Spool) create(w *Writer) error {
	target, aside := s.folder(w.id), s.unique(newDir, w.id)
	if _, err := os.Lstat(target); err == nil {
		return ErrExists
	}
	if err := os.Mkdir(aside, 0o700); err != nil {
		return err
	}
	err := s.fill(w, aside)
	if err == nil {
		err = os.Rename(aside, target)
		if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
			err = ErrExists
		}
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(aside))
	}
	return syncDir(filepath.Dir(target))
}

// fill makes the record file with its first epoch header.
func (s *Spool) fill(w *Writer, folder string) error {
	f, err := os.OpenFile(filepath.Join(folder, recordName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w.f = s.opts.wrap(osFile{f})
	if err := w.begin(); err != nil {
		return err
	}
	return syncDir(folder)
}

// begin writes an epoch header and makes it durable.
func (w *Writer) begin() error {
	header, n, err := w.ensureEpoch(nil)
	if err != nil {
		return err
	}
	if h, ok := parseEpoch(header); ok && h.number == 0 {
		w.created = h.began
	}
	if err := w.write(header); err != nil {
		return err
	}
	w.epoch += n
	w.synced = w.writes
	return w.f.Datasync()
}

// reopen reads the whole file, so that what is appended stands behind the last true frame.
func (s *Spool) reopen(w *Writer) error {
	f, err := os.OpenFile(filepath.Join(s.folder(w.id), recordName), os.O_RDWR, 0)
	if err != nil {
		return notFound(err)
	}
	w.f = s.opts.wrap(osFile{f})
	info, err := f.Stat()
	if err != nil {
		return err
	}
	scan := (&Reader{id: w.id, key: w.key, src: f, size: info.Size()}).scanner()
	for _, err := range scan.run {
		if err != nil && (!errors.Is(err, ErrDamaged) || scan.aead == nil) {
			return err
		}
	}
	end := scan.off
	if scan.dropped == 0 {
		end = info.Size() // damaged bytes at the end are evidence: they stay
	} else if err := w.f.Truncate(end); err != nil {
		return fmt.Errorf("cut off torn tail: %w", err)
	}
	w.size, w.epoch, w.counter, w.previous, w.dropped = end, scan.epoch, scan.counter, scan.previous, scan.dropped
	return w.begin()
}

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return err
}

// Reader opens a recording for reading, as it is now; it may be open for appending. ErrNotFound.
func (s *Spool) Reader(id string, key [32]byte) (*Reader, error) {
	if err := checkName(id); err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	f, err := os.Open(filepath.Join(s.folder(id), recordName))
	if err != nil {
		return nil, fmt.Errorf("read recording %s: %w", id, notFound(err))
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read recording %s: %w", id, err), f.Close())
	}
	return &Reader{id: id, key: key, src: f, size: info.Size(), f: f}, nil
}

// Read yields the records of a recording, as Reader.All does. A torn tail ends the sequence without an error.
func (s *Spool) Read(id string, key [32]byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		r, err := s.Reader(id, key)
		if err != nil {
			yield(Record{}, err)
			return
		}
		defer r.Close()
		r.All()(yield)
	}
}

// List returns the id of every recording, oldest first: by the time at which it was created, then by id. One whose
// record file cannot be dated comes first.
func (s *Spool) List() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, recordingsDir))
	if err != nil {
		return nil, fmt.Errorf("list the spool: %w", err)
	}
	type dated struct {
		id      string
		created time.Time
	}
	var found []dated
	for _, e := range entries {
		if e.IsDir() && checkName(e.Name()) == nil {
			found = append(found, dated{e.Name(), s.dateOf(e.Name())})
		}
	}
	slices.SortFunc(found, func(a, b dated) int {
		if c := a.created.Compare(b.created); c != 0 {
			return c
		}
		return strings.Compare(a.id, b.id)
	})
	ids := make([]string, len(found))
	for i, d := range found {
		ids[i] = d.id
	}
	return ids, nil
}

// dateOf is when a recording was created. Open ones need not be read for it: there are many, and they are listed often.
func (s *Spool) dateOf(id string) time.Time {
	s.mu.Lock()
	w := s.inUse[id]
	s.mu.Unlock()
	if w != nil && !w.created.IsZero() {
		return w.created
	}
	return s.created(id)
}

// created reads the time in the first epoch header, unproven; zero when there is none.
func (s *Spool) created(id string) time.Time {
	f, err := os.Open(filepath.Join(s.folder(id), recordName))
	if err != nil {
		return time.Time{}
	}
	defer f.Close()
	b := make([]byte, epochSize)
	if _, err := io.ReadFull(f, b); err != nil {
		return time.Time{}
	}
	h, _ := parseEpoch(b)
	return h.began
}

// Remove takes a recording away with everything in it. When it returns nil, the recording will not come back after a
// loss of power; a crash on the way leaves it whole or takes it away. Removing what is not there does nothing.
// ErrInUse: close its Writer first.
func (s *Spool) Remove(id string) error {
	if err := checkName(id); err != nil {
		return fmt.Errorf("remove recording: %w", err)
	}
	if err := s.reserve(id); err != nil {
		return fmt.Errorf("remove recording %s: %w", id, err)
	}
	defer s.release(id)
	trash := s.unique(trashDir, id)
	if err := os.Rename(s.folder(id), trash); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove recording %s: %w", id, err)
	}
	if err := syncDir(filepath.Join(s.dir, recordingsDir)); err != nil {
		return fmt.Errorf("remove recording %s: %w", id, err)
	}
	if err := errors.Join(os.RemoveAll(trash), syncDir(filepath.Join(s.dir, trashDir))); err != nil {
		return fmt.Errorf("remove recording %s: it left the spool, but its bytes stay until the next start: %w", id, err)
	}
	return nil
}

// Holds says whether the spool in dir holds the recording. It takes no lock: any process may ask.
func Holds(dir, id string) bool {
	if checkName(id) != nil {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, recordingsDir, id))
	return err == nil
}
