// Package seal gives every recording a key of its own, so that destroying one key erases one recording, wherever its copies are.
//
// A [Key] is a hybrid identity of age: ML-KEM-768 and X25519. Those that older versions made are X25519. What it encrypts is an age file
// that the age command, 1.3 or later, opens with the identity. Keys are kept by [Keys] on a [Shelf], one file each, wrapped by a key-encryption key,
// a [KEK]: [LocalFile] needs nothing else, and a [Ring] stands between the keys and a [Service], as HashiCorp Vault.
// Whoever holds the key-encryption key and a wrapped key can read the recording, without this program:
//
//	age -d -i kek.txt keys/3f/ID.age > id.txt
//	age -d -i id.txt recording.wav.age > recording.wav
//
// # The form of a directory of keys
//
//	DIR/check.age             a payload wrapped when the directory was made, to notice another key-encryption key at the start
//	DIR/SHARD/ID.age          a wrapped key; SHARD is the first two hexadecimal digits of the SHA-256 of ID
//	DIR/ring/KEK.json         a member of a ring: {"version": 1, "id": KEK, "created": RFC 3339, "service": NAME, "recipient": "age1pq1...",
//	                          "wrapped": base64}; what is wrapped is an identity in the form below, with KEK in the place of ID
//	DIR/ring/current          the KEK that wraps, and a newline
//	DIR/rotation.json         while keys are being wrapped anew: {"version": 1, "started": RFC 3339, "to": KEK, "from": [KEK...]}
//	DIR/lock, DIR/rotate.lock flock(2)ed: shared to make or destroy a key, exclusively to put one in another's place; for a rotation
//	DIR/SHARD/ID.destroyed    a tombstone: {"version": 1, "id": ID, "destroyed": RFC 3339}. It stays, and outweighs a key file
//	DIR/SHARD/ID.sent         of a porch: the shared shelf may have been told of ID
//
// A [Shelf] that is no directory holds the same under the same names, without DIR, locks and marks.
//
// Files are 0600, directories 0700. What is wrapped is text of exactly three lines, which is also an identity file of age:
//
//	# greffier key v1
//	# recording ID
//	AGE-SECRET-KEY-PQ-1...
//
// The header of a wrapped key has, after the stanza of age, one that says which key-encryption key it was: "-> greffier-kek KEK", and
// an empty body. KEK is the first 8 bytes of the SHA-256 of its recipient ("age1pq1..."), in hexadecimal. Keys of older versions have none.
//
// ID is compared when the key is read, so that one recording's file cannot stand in for another's.
//
// # Limits
//
// Destroy overwrites a key before it unlinks it. File systems that copy on write, drives that remap, snapshots and backups keep
// older blocks in spite of that: keep the directory of keys on storage without snapshots, and its backups shorter than the shortest
// promise. Key material in memory is cleared where the language and the libraries let us; an age identity cannot be.
package seal
