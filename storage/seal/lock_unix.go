//go:build unix && !solaris && !aix

package seal

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// A hold is how the lock of a directory of keys is taken.
type hold int

const (
	shared    hold = syscall.LOCK_SH // making and destroying keys
	exclusive hold = syscall.LOCK_EX // putting a key into the place of another
)

// lock waits for the lock of a file in the directory. It ends by unlock, or when the process dies.
func (d *dirShelf) lock(name string, how hold) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(d.dir, name), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), int(how))
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
	}
}
