package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// noPreemption is the runtime's setting by which it interrupts nobody by signals. Goroutines are then interrupted at calls only, which is often
// enough: no loop here runs for long without one.
const noPreemption = "asyncpreemptoff=1"

// keepRegisters starts the server's program once more in its own place, with a runtime that sends itself no signals. With each signal the kernel
// saves a thread's registers beside its stack, and leaves them there: with them up to 224 bytes of the sound that was just being copied, which
// nothing of ours can wipe. The runtime's own signals are by far the most frequent. It returns in a program that is what it should be.
func keepRegisters(args []string) error {
	settings := os.Getenv("GODEBUG")
	if len(args) < 2 || args[1] != "serve" || strings.Contains(settings, "asyncpreemptoff=") {
		return nil
	}
	if settings != "" {
		settings += ","
	}
	program, err := os.Executable()
	if err == nil {
		if err = os.Setenv("GODEBUG", settings+noPreemption); err == nil {
			err = syscall.Exec(program, args, os.Environ())
		}
	}
	return fmt.Errorf("start without preemption by signals: %w; set GODEBUG=%s by hand", err, noPreemption)
}
