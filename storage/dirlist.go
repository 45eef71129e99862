package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// List implements Store.
func (d *Dir) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Info{}, fmt.Errorf("list objects: %w", err))
			return
		}
		v := visit{
			key:     func(key string) (bool, error) { return d.yieldVersions(key, yield) },
			strange: func(string) bool { return true },
		}
		if _, err := d.walk(ctx, "", prefix, v); err != nil {
			yield(Info{}, dirError(fmt.Errorf("list objects: %w", err)))
		}
	}
}

// A visit is what a walk does at a key, and at the name of a file or directory that belongs to no version. It is false when the consumer has
// enough.
type visit struct {
	key     func(key string) (more bool, err error)
	strange func(name string) (more bool)
}

// walk visits what lies below the directory dir, which is "" or ends with a slash. It returns false when the consumer has enough.
func (d *Dir) walk(ctx context.Context, dir, prefix string, v visit) (more bool, err error) {
	entries, err := os.ReadDir(filepath.Join(d.root, dirObjects, filepath.FromSlash(dir)))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // deleted meanwhile
	}
	if err != nil {
		return false, err
	}
	// A directory stands both for a key and for what lies below it, and "a-b" sorts between "a" and "a/b".
	var names []string
	for _, e := range entries {
		switch version := strings.HasPrefix(e.Name(), versionMark); {
		case version && e.IsDir() && isDirVersion(e.Name()[len(versionMark):]): // its key yields it
		case e.IsDir() && !version:
			names = append(names, dir+e.Name(), dir+e.Name()+"/")
		case strings.HasPrefix(dir+e.Name(), prefix) && !v.strange(dir+e.Name()):
			return false, nil
		}
	}
	sort.Strings(names)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		switch isDir := strings.HasSuffix(name, "/"); {
		case isDir && (strings.HasPrefix(name, prefix) || strings.HasPrefix(prefix, name)):
			more, err = d.walk(ctx, name, prefix, v)
		case !isDir && strings.HasPrefix(name, prefix):
			more, err = v.key(name)
		default:
			continue
		}
		if err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

func (d *Dir) yieldVersions(key string, yield func(Info, error) bool) (more bool, err error) {
	ids, err := d.versions(key)
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		m, err := d.readMeta(Ref{Key: key, VersionID: id})
		if errors.Is(err, ErrNotFound) {
			continue // deleted meanwhile
		}
		info := Info{Ref: Ref{Key: key, VersionID: id}}
		if err != nil {
			err = dirError(fmt.Errorf("list objects: %w", err))
		} else {
			info = m.info()
		}
		if !yield(info, err) {
			return false, nil
		}
	}
	return true, nil
}

// Versions implements Store. There are no delete markers. A file or directory that belongs to no version is an error of its own.
func (d *Dir) Versions(ctx context.Context, prefix string) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Version{}, fmt.Errorf("list objects: %w", err))
			return
		}
		v := visit{
			key: func(key string) (bool, error) { return d.yieldRefs(key, yield) },
			strange: func(name string) bool {
				return yield(Version{Ref: Ref{Key: name}}, fmt.Errorf("list objects: %w: it is no version of an object", ErrMismatch))
			},
		}
		if _, err := d.walk(ctx, "", prefix, v); err != nil {
			yield(Version{}, dirError(fmt.Errorf("list objects: %w", err)))
		}
	}
}

func (d *Dir) yieldRefs(key string, yield func(Version, error) bool) (more bool, err error) {
	ids, err := d.versions(key)
	if err != nil {
		return false, err
	}
	for i, id := range ids {
		if !yield(Version{Ref: Ref{Key: key, VersionID: id}, Current: i == 0}, nil) {
			return false, nil
		}
	}
	return true, nil
}
