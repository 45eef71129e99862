//go:build unix && !linux

package audit

import "os"

// datasync makes the bytes and the length of a file durable.
func datasync(f *os.File) error { return f.Sync() }
