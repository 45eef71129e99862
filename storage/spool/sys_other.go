//go:build unix && !linux

package spool

import "os"

// datasync makes the bytes and the length of a file durable.
func datasync(f *os.File) error { return f.Sync() }

// wholeSyncOf: only Linux tells what failed.
func wholeSyncOf(*os.File) wholeSync { return nil }
