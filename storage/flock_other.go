//go:build !unix || solaris || aix

package storage

import "os"

// Without flock a Dir must be used by one process at a time, and versions that a crash left half written stay in tmp.
func lockFile(*os.File) error   { return nil }
func tryLockFile(*os.File) bool { return false }
