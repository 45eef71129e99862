// Package storage keeps objects that cannot be changed, and cannot be deleted before their time.
//
// A [Store] holds versions of objects under keys. A version is written whole or not at all, never changes afterwards, and carries
// the SHA-256 of its bytes, a small map of metadata, a retention (a mode and a time before which nobody may delete it) and a legal
// hold. Everything after the first Put is addressed by key and version id, because a lifecycle rule may hide a key behind a delete
// marker while its locked version lives on.
//
// There are two implementations. [S3] talks to any service with S3 Object Lock; the service enforces the promises, and S3 reads
// back what it asked for. [Dir] keeps the same promises in software on a local directory. A lock in software protects against
// mistakes of this program and of whoever uses it; it does not protect against the administrator of the machine, who can delete
// files, or against a clock that is set forward. Where the law asks for storage that nobody can change, use a service with
// Object Lock in COMPLIANCE mode.
//
// # The form of a Dir
//
//	DIR/format                       the text "greffier-store 1"; another number is refused
//	DIR/lock                         an empty file, locked (flock) around every change, so that several processes may share a Dir
//	DIR/tmp/put-VERSION/             a version being written; not visible, removed when its writer is gone
//	DIR/tmp/del-VERSION/             a version being deleted; not visible, removed when the Dir is opened
//	DIR/objects/KEY/@VERSION/        a version of KEY; it appears and disappears by one rename
//	DIR/objects/KEY/@VERSION/data    the bytes
//	DIR/objects/KEY/@VERSION/meta.json
//
// KEY is used as a path; the character @ cannot be part of a key, so that a key may also be the beginning of another ("a" and
// "a/b"). VERSION is 32 hexadecimal digits: 16 of the time of writing (nanoseconds since 1970) and 16 at random, so that the names
// of a key's versions sort by age. Files are 0600, directories 0700. meta.json is an object with these members, all required but
// those marked; unknown members are refused:
//
//	format        1
//	key           the key, to notice a file that was moved
//	version_id    VERSION
//	size          number of bytes
//	sha256        64 hexadecimal digits, of the bytes
//	modified      when the version was written, RFC 3339, UTC
//	content_type  optional
//	metadata      optional; strings by name
//	retention     optional; {"mode": "GOVERNANCE" or "COMPLIANCE", "until": RFC 3339 in whole seconds, UTC}
//	legal_hold    optional; true
//
// # The form of an object in S3
//
// Keys are the same. The metadata are user metadata (x-amz-meta-NAME), with the SHA-256 of the whole object under the name
// "sha256", which callers cannot use. Retention and hold are the service's own.
package storage
