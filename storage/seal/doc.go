// Package seal gives each recording a key of its own, and with it makes files that only the holder of that key can read.
//
// A recording's key is an age X25519 identity. Files are sealed to its recipient in the age format
// (https://age-encryption.org/v1), so the age program opens them too. The identity is kept wrapped by a key-encryption key,
// one small file per recording, outside of whatever is locked: destroying that file is erasure.
//
// # The key store
//
//	DIR/<xx>/<id>.age   a wrapped identity; xx is the first byte of SHA-256(id) in hexadecimal
//	DIR/<xx>/<id>.gone  a tombstone: the RFC 3339 time at which the key was destroyed
//
// A wrapped identity is what the Wrapper made of this text, one line each, ending in a newline:
//
//	greffier-key/1
//	<id>
//	AGE-SECRET-KEY-1...
//
// Each file is written aside, synced, and renamed, and its directory synced; a crash leaves either the whole file or nothing.
// A tombstone is durable before the key goes, and no key is ever made or accepted again for an id that has one.
package seal
