package storage

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Put implements Store. The bytes are written aside without holding the lock; then, under it, one rename makes the version.
func (d *Dir) Put(ctx context.Context, key string, r io.ReaderAt, size int64, o PutOptions) (Ref, error) {
	ref, err := d.put(ctx, key, r, size, o)
	if err != nil {
		return Ref{}, dirError(fmt.Errorf("put object %s: %w", key, err))
	}
	return ref, nil
}

func (d *Dir) put(ctx context.Context, key string, r io.ReaderAt, size int64, o PutOptions) (Ref, error) {
	if err := ctx.Err(); err != nil {
		return Ref{}, err
	}
	o.Retention = o.Retention.Rounded()
	if err := checkPut(key, size, o); err != nil {
		return Ref{}, err
	}
	if !o.Retention.IsZero() {
		if err := o.Retention.checkSet(d.clock()); err != nil {
			return Ref{}, err
		}
	}
	m := &dirMeta{
		Format: dirMetaFormat, Key: key, VersionID: d.newVersion(), Size: size,
		Modified: d.clock().UTC(), ContentType: cmp.Or(o.ContentType, DefaultContentType), Metadata: o.Metadata,
	}
	m.setRetention(o.Retention)
	temp := filepath.Join(d.root, dirTempName, writeMark+m.VersionID)
	f, err := d.create(temp)
	if err != nil {
		return Ref{}, err
	}
	defer f.Close() // and with it the lock that says that temp is in use
	ref, err := d.writeAndCommit(ctx, temp, f, r, m, o)
	if err != nil || ref.VersionID != m.VersionID {
		err = errors.Join(err, os.RemoveAll(temp))
	}
	return ref, err
}

func (d *Dir) newVersion() string {
	var b [dirVersionBytes]byte
	binary.BigEndian.PutUint64(b[:8], uint64(d.clock().UnixNano()))
	rand.Read(b[8:])
	return hex.EncodeToString(b[:])
}

// create makes the directory of a version that is being written, with its data file, locked to show that it is in use.
func (d *Dir) create(temp string) (*os.File, error) {
	unlock, err := d.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := os.Mkdir(temp, dirMode); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(temp, dirDataName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock data file: %w", err)
	}
	return f, nil
}

func (d *Dir) writeAndCommit(ctx context.Context, temp string, f *os.File, r io.ReaderAt, m *dirMeta, o PutOptions) (Ref, error) {
	d.at("put: created")
	sum := sha256.New()
	if err := copyAt(ctx, io.MultiWriter(f, sum), r, m.Size); err != nil {
		return Ref{}, err
	}
	m.SHA256 = hexSum(sum)
	if o.SHA256 != "" && o.SHA256 != m.SHA256 {
		return Ref{}, fmt.Errorf("%w: SHA-256 is %s, want %s", ErrMismatch, m.SHA256, o.SHA256)
	}
	d.at("put: data written")
	if err := f.Sync(); err != nil {
		return Ref{}, err
	}
	b, err := m.encode()
	if err != nil {
		return Ref{}, err
	}
	if err := writeNew(filepath.Join(temp, dirMetaName), b); err != nil {
		return Ref{}, err
	}
	if err := syncDir(temp); err != nil {
		return Ref{}, err
	}
	d.at("put: metadata written")
	return d.commit(ctx, temp, m, o)
}

// commit makes the version visible, unless the key has one.
func (d *Dir) commit(ctx context.Context, temp string, m *dirMeta, o PutOptions) (Ref, error) {
	unlock, err := d.lock()
	if err != nil {
		return Ref{}, err
	}
	defer unlock()
	if err := ctx.Err(); err != nil {
		return Ref{}, err
	}
	switch existing, err := d.find(ctx, Ref{Key: m.Key}); {
	case err == nil:
		return d.adopt(existing, m, o)
	case !errors.Is(err, ErrNotFound):
		return Ref{}, err
	}
	if err := makeDir(d.keyPath(m.Key)); err != nil {
		return Ref{}, err
	}
	d.at("put: key made")
	ref := Ref{Key: m.Key, VersionID: m.VersionID}
	if err := os.Rename(temp, d.versionPath(ref)); err != nil {
		return Ref{}, err
	}
	d.at("put: renamed")
	if err := syncDir(d.keyPath(m.Key)); err != nil {
		return Ref{}, err
	}
	return ref, syncDir(filepath.Join(d.root, dirTempName))
}

// adopt answers a Put of what is there already. The lock is held.
func (d *Dir) adopt(existing, m *dirMeta, o PutOptions) (Ref, error) {
	if existing.SHA256 != m.SHA256 || existing.Size != m.Size {
		return Ref{}, fmt.Errorf("%w (version %s)", ErrExists, existing.VersionID)
	}
	if !existing.retention().Covers(o.Retention) {
		if err := d.setRetention(existing, o.Retention); err != nil {
			return Ref{}, err
		}
	}
	return existing.info().Ref, nil
}

// Lock implements Store.
func (d *Dir) Lock(ctx context.Context, ref Ref, r Retention) error {
	r = r.Rounded()
	err := d.change(ctx, ref, func(m *dirMeta) error {
		if r.IsZero() {
			return fmt.Errorf("%w: no retention given", ErrInvalid)
		}
		return d.setRetention(m, r)
	})
	if err != nil {
		return dirError(fmt.Errorf("lock object %s: %w", ref.Key, err))
	}
	return nil
}

// Hold implements Store.
func (d *Dir) Hold(ctx context.Context, ref Ref, on bool) error {
	err := d.change(ctx, ref, func(m *dirMeta) error {
		m.LegalHold = on
		return d.writeMeta(m)
	})
	if err != nil {
		return dirError(fmt.Errorf("hold object %s: %w", ref.Key, err))
	}
	return nil
}

// setRetention writes r if it may take the place of what m has. The lock is held.
func (d *Dir) setRetention(m *dirMeta, r Retention) error {
	now := d.clock()
	if err := r.checkSet(now); err != nil {
		return err
	}
	if err := m.retention().yieldsTo(r, now); err != nil {
		return err
	}
	m.setRetention(r)
	return d.writeMeta(m)
}

// change runs f on a version, alone.
func (d *Dir) change(ctx context.Context, ref Ref, f func(*dirMeta) error) error {
	if err := checkVersion(ref); err != nil {
		return err
	}
	unlock, err := d.lock()
	if err != nil {
		return err
	}
	defer unlock()
	m, err := d.find(ctx, ref)
	if err != nil {
		return err
	}
	return f(m)
}

// writeMeta replaces meta.json and reads it back. The lock is held.
func (d *Dir) writeMeta(m *dirMeta) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	ref := m.info().Ref
	d.at("change: begin")
	if err := replaceFile(filepath.Join(d.versionPath(ref), dirMetaName), b); err != nil {
		return err
	}
	d.at("change: done")
	got, err := d.readMeta(ref)
	if err != nil {
		return err
	}
	if !got.retention().Equal(m.retention()) || got.LegalHold != m.LegalHold {
		return fmt.Errorf("%w: wrote retention %v, read back %v", ErrMismatch, m.retention(), got.retention())
	}
	return nil
}

// Delete implements Store. One rename takes the version away; its bytes go after that, at the latest when the Dir is opened.
func (d *Dir) Delete(ctx context.Context, ref Ref) error {
	err := d.change(ctx, ref, func(m *dirMeta) error {
		if m.LegalHold {
			return fmt.Errorf("%w: legal hold", ErrLocked)
		}
		if r := m.retention(); r.Active(d.clock()) {
			return fmt.Errorf("%w: %v", ErrLocked, r)
		}
		return d.remove(ref)
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return dirError(fmt.Errorf("delete object %s: %w", ref.Key, err))
	}
	return nil
}

func (d *Dir) remove(ref Ref) error {
	d.at("delete: begin")
	gone := filepath.Join(d.root, dirTempName, deletionMark+ref.VersionID)
	if err := os.Rename(d.versionPath(ref), gone); err != nil {
		return err
	}
	d.at("delete: renamed")
	keyDir := d.keyPath(ref.Key)
	for _, path := range []string{keyDir, filepath.Dir(gone)} {
		if err := syncDir(path); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(gone); err != nil {
		return err
	}
	d.at("delete: bytes gone")
	if err := syncDir(filepath.Dir(gone)); err != nil {
		return err
	}
	return d.prune(keyDir)
}

// prune removes directories that hold nothing any more, because their names may say something about a call.
func (d *Dir) prune(path string) error {
	for top := filepath.Join(d.root, dirObjects); path != top; path = filepath.Dir(path) {
		entries, err := os.ReadDir(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(entries) > 0 {
			break
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := syncDir(filepath.Dir(path)); err != nil {
			return err
		}
	}
	return nil
}
