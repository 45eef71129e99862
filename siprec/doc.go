// Package siprec is the vocabulary of SIP recording: the body of a recording request (RFC 7866 section 9),
// its session description with labels (RFC 4574) and its recording metadata (RFC 7865).
//
// Everything here is pure: bytes in, values out. Nothing opens a socket, reads a clock or starts a goroutine.
// What comes from the wire is limited by the named constants in limits.go, and never causes a panic.
package siprec
