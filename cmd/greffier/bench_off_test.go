//go:build !bench || !linux

package main

// child is what the test binary does as a process of its own: it is the program.
func child(string) { main() }
