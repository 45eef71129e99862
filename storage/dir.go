package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// The names in a Dir.
const (
	dirFormatName = "format"
	dirFormat     = "greffier-store 1\n"
	dirLockName   = "lock"
	dirTempName   = "tmp"
	dirObjects    = "objects"
	dirDataName   = "data"
	dirMetaName   = "meta.json"

	versionMark  = "@"    // before a version id, in the directory of its key
	writeMark    = "put-" // before a version id, in tmp
	deletionMark = "del-"
)

// Dir is a Store in a local directory: see the package documentation for its form and for what its lock is worth. Several
// processes may use one directory.
type Dir struct {
	root  string
	clock func() time.Time
	step  func(string) // tests stop the process here; nil otherwise

	mu sync.Mutex // held, with the lock file, around every change
}

var _ Store = (*Dir)(nil)

// DirOptions has a usable zero value.
type DirOptions struct {
	Clock func() time.Time // says when retention ends; nil means time.Now
}

// NewDir opens the store at path and creates it if there is nothing. What a crash left half done is finished or removed.
func NewDir(path string, o DirOptions) (*Dir, error) {
	root, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	d := &Dir{root: root, clock: o.Clock}
	if d.clock == nil {
		d.clock = time.Now
	}
	if err := makeDir(root); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	unlock, err := d.lock()
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	defer unlock()
	if err := d.checkFormat(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := d.clearTemp(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return d, nil
}

// checkFormat reads the format file, and lays a new store out if the directory is empty.
func (d *Dir) checkFormat() error {
	name := filepath.Join(d.root, dirFormatName)
	b, err := os.ReadFile(name)
	switch {
	case err == nil && string(b) == dirFormat:
		return nil
	case err == nil:
		return fmt.Errorf("%s says %.40q, want %q: a newer version of the program wrote it, or it is no store", name, b, dirFormat)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	entries, err := os.ReadDir(d.root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// Our own beginnings may be there, if a crash cut the first start off.
		if n := e.Name(); n != dirLockName && n != dirTempName && n != dirObjects && n != dirFormatName+".new" {
			return fmt.Errorf("%s is neither empty nor a store (it has %q): choose an empty directory", d.root, n)
		}
	}
	for _, sub := range []string{dirTempName, dirObjects} {
		if err := makeDir(filepath.Join(d.root, sub)); err != nil {
			return err
		}
	}
	return replaceFile(name, []byte(dirFormat))
}

// clearTemp removes versions whose writer is gone, and finishes deletions.
func (d *Dir) clearTemp() error {
	temp := filepath.Join(d.root, dirTempName)
	entries, err := os.ReadDir(temp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(temp, e.Name())
		if strings.HasPrefix(e.Name(), writeMark) && inUse(filepath.Join(path, dirDataName)) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// inUse says whether a writer has the file locked.
func inUse(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	return !tryLockFile(f)
}

// lock excludes every other change of the store, by this process or another.
func (d *Dir) lock() (unlock func(), err error) {
	d.mu.Lock()
	f, err := os.OpenFile(filepath.Join(d.root, dirLockName), os.O_RDWR|os.O_CREATE, fileMode)
	if err == nil {
		if err = lockFile(f); err != nil {
			f.Close()
		}
	}
	if err != nil {
		d.mu.Unlock()
		return nil, fmt.Errorf("lock store: %w", err)
	}
	return func() {
		f.Close()
		d.mu.Unlock()
	}, nil
}

// at marks a point at which tests stop the process.
func (d *Dir) at(step string) {
	if d.step != nil {
		d.step(step)
	}
}

func (d *Dir) keyPath(key string) string {
	return filepath.Join(d.root, dirObjects, filepath.FromSlash(key))
}

func (d *Dir) versionPath(ref Ref) string {
	return filepath.Join(d.keyPath(ref.Key), versionMark+ref.VersionID)
}

// Check implements Store.
func (d *Dir) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	unlock, err := d.lock()
	if err != nil {
		return fmt.Errorf("check store: %w", err)
	}
	defer unlock()
	if err := d.checkFormat(); err != nil {
		return fmt.Errorf("check store: %w", err)
	}
	probe := filepath.Join(d.root, dirTempName, deletionMark+"check")
	if err := replaceFile(probe, []byte("check\n")); err != nil {
		return fmt.Errorf("check store: cannot write: %w", err)
	}
	return os.Remove(probe)
}

// Open implements Store.
func (d *Dir) Open(ctx context.Context, ref Ref) (Object, error) {
	m, err := d.find(ctx, ref)
	if err != nil {
		return nil, dirError(fmt.Errorf("open object %s: %w", ref.Key, err))
	}
	f, err := os.Open(filepath.Join(d.versionPath(m.info().Ref), dirDataName))
	if err != nil {
		return nil, dirError(fmt.Errorf("open object %s: %w", ref.Key, notFound(err)))
	}
	return &dirObject{ctx: ctx, f: f, info: m.info()}, nil
}

type dirObject struct {
	ctx  context.Context // of Open: the object lives no longer
	f    *os.File
	info Info
}

func (o *dirObject) Info() Info   { return o.info }
func (o *dirObject) Close() error { return o.f.Close() }

func (o *dirObject) ReadAt(p []byte, offset int64) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	return o.f.ReadAt(p, offset)
}

// Stat implements Store.
func (d *Dir) Stat(ctx context.Context, ref Ref) (Info, error) {
	m, err := d.find(ctx, ref)
	if err != nil {
		return Info{}, dirError(fmt.Errorf("stat object %s: %w", ref.Key, err))
	}
	return m.info(), nil
}

// find reads the metadata of a version, or of the current one.
func (d *Dir) find(ctx context.Context, ref Ref) (*dirMeta, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := checkRef(ref); err != nil {
		return nil, err
	}
	if ref.VersionID == "" {
		versions, err := d.versions(ref.Key)
		if err != nil {
			return nil, err
		}
		if len(versions) == 0 {
			return nil, ErrNotFound
		}
		ref.VersionID = versions[0]
	}
	if !isDirVersion(ref.VersionID) {
		return nil, ErrNotFound
	}
	return d.readMeta(ref)
}

// versions gives the version ids of a key, newest first.
func (d *Dir) versions(key string) ([]string, error) {
	entries, err := os.ReadDir(d.keyPath(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for i := len(entries) - 1; i >= 0; i-- { // ReadDir sorts by name, which is by age
		if id, ok := strings.CutPrefix(entries[i].Name(), versionMark); ok && isDirVersion(id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (d *Dir) readMeta(ref Ref) (*dirMeta, error) {
	path := d.versionPath(ref)
	f, err := os.Open(filepath.Join(path, dirMetaName))
	if err != nil {
		return nil, notFound(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxDirMetaBytes+1))
	if err != nil {
		return nil, err
	}
	m, err := parseDirMeta(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if m.Key != ref.Key || m.VersionID != ref.VersionID {
		return nil, fmt.Errorf("%s: %w: its metadata are those of %s version %s", path, ErrMismatch, m.Key, m.VersionID)
	}
	data, err := os.Stat(filepath.Join(path, dirDataName))
	if err != nil {
		return nil, notFound(err)
	}
	if data.Size() != m.Size {
		return nil, fmt.Errorf("%s: %w: %d bytes, want %d", path, ErrMismatch, data.Size(), m.Size)
	}
	return m, nil
}

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return err
}

// dirError says of an error of the file system (full, read-only, failing) that the store is unavailable.
func dirError(err error) error {
	if err == nil || isFinal(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
