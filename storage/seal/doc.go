// Package seal gives every recording a key of its own, so that destroying one key erases one recording, wherever its copies are.
//
// A [Key] is an age X25519 identity. What it encrypts is an age file that the age command opens with the identity. Keys are kept by
// [Keys], one file each, wrapped by a key-encryption key: a [Wrapper], of which [LocalFile] is the one that needs nothing else.
// Whoever holds the key-encryption key and a wrapped key can read the recording, without this program:
//
//	age -d -i kek.txt keys/3f/ID.age > id.txt
//	age -d -i id.txt recording.wav.age > recording.wav
//
// # The form of a directory of keys
//
//	DIR/check.age             a payload wrapped when the directory was made, to notice another key-encryption key at the start
//	DIR/SHARD/ID.age          a wrapped key; SHARD is the first two hexadecimal digits of the SHA-256 of ID
//	DIR/SHARD/ID.destroyed    a tombstone: {"version": 1, "id": ID, "destroyed": RFC 3339}. It stays, and outweighs a key file
//
// Files are 0600, directories 0700. What is wrapped is text of exactly three lines, which is also an identity file of age:
//
//	# greffier key v1
//	# recording ID
//	AGE-SECRET-KEY-1...
//
// ID is compared when the key is read, so that one recording's file cannot stand in for another's.
//
// # Limits
//
// Destroy overwrites a key before it unlinks it. File systems that copy on write, drives that remap, snapshots and backups keep
// older blocks in spite of that: keep the directory of keys on storage without snapshots, and its backups shorter than the shortest
// promise. Key material in memory is cleared where the language and the libraries let us; an age identity cannot be.
package seal
