//go:build !linux

package main

import "errors"

// readCPU is for Linux only; elsewhere lateness alone tells of an overload.
func readCPU() (cpuTime, error) { return cpuTime{}, errors.New("CPU time is read on Linux only") }
