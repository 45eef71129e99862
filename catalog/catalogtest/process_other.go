//go:build !linux

package catalogtest

import "syscall"

func attributes(bool) *syscall.SysProcAttr { return nil }

func own(string) error { return nil }
