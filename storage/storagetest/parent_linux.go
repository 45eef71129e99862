package storagetest

import "syscall"

// dieWithParent ends a child when the test process is killed and cannot do it.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
