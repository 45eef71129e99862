// Package audit is an append-only log of what was done, in which nothing can be changed, taken out, moved or cut off
// without Verify saying so. An entry is on the disk when Append returns. Several processes may append to one log.
//
// # The directory
//
//	log.jsonl   the entries, mode 0600; only ever grows, except that the torn end of an unfinished commit is cut off
//	head        how far the log goes and what it hashes to, mode 0600, 8192 bytes
//	lock        flock(2)ed: exclusively for each commit, shared while a reader notes how far the log goes
//
// # An entry, format 1
//
// One line: a JSON object (RFC 8259) that is a CloudEvents 1.0 event in JSON format, and a newline, 0x0a. "The line" is
// the object without the newline. It is at most 65,536 bytes long. There is no white space outside strings. The
// members stand in this order; those marked * are left out when they are empty:
//
//	specversion      "1.0"
//	id               unique among the events of one source
//	source           URI reference: which installation wrote this
//	type             "com.github.greffier." and the type given to Append: "com.github.greffier.recording.decision"
//	subject        * what the event is about: a recording's id
//	time             RFC 3339 in UTC with "Z", up to nanoseconds, without trailing zeros in the fraction
//	datacontenttype  "application/json"
//	seq              extension, integer: 0 for the first entry, one more for each that follows
//	prevhash         extension, string: SHA-256 of the line before, 64 lower-case hex digits; zeros in entry 0
//	outcome        * extension, string: "intended", "done" or "failed"
//	actor          * extension, string: who did it
//	data             an object
//
// In the strings of the envelope only the quotation mark and the reverse solidus are escaped, each with a reverse
// solidus; everything else stands for itself in UTF-8. Control characters, U+0000 to U+001F and U+007F to U+009F, do
// not occur. There is exactly one way to write an entry, and Verify accepts no other. CloudEvents integers have 32
// bits, so a log ends at 2,147,483,647 entries.
//
// Entry 0 has the type "com.github.greffier.log.created" and the data {"format":1,"log":"..."}: the format's number
// and 32 random hex digits that no other log has. After a torn end was cut off, the next entry has the type
// "com.github.greffier.log.repaired" and the data {"cut":N}, the number of bytes.
//
// The time is the writer's clock. It is not required to grow: order is seq.
//
// With standard tools, entry 7's prevhash is
//
//	sed -n 7p log.jsonl | tr -d '\n' | sha256sum
//
// # The Merkle tree
//
// Over the same lines stands a tree as in RFC 6962 section 2.1, the one that C2SP tlog-checkpoint and tlog-tiles use:
// leaf number seq is the line, its hash SHA-256 of 0x00 and the line (tlog.RecordHash), an inner node's SHA-256 of 0x01
// and its two children. Signed checkpoints, tiles and proofs can so be made from the log as it is, now or later.
//
// # The head, format 1
//
// Two slots of 4096 bytes. Each is a JSON object, spaces up to byte 4029, a newline, 64 lower-case hex digits, and a
// newline: the digits are SHA-256 of bytes 0 to 4030. The object:
//
//	{"format":1,"generation":G,"entries":N,"bytes":B,"last":"...","edge":["..."],"root":"..."}
//
// The slot with the higher generation counts; generation G is written to slot G modulo 2. N is the number of entries,
// B the length of log.jsonl with them, last the SHA-256 of the last line (zeros when there is none), root the tree's
// hash, and edge the hashes of the largest complete subtrees from the left, at most 31, from which the root of a
// longer log follows. Hashes are 64 lower-case hex digits.
//
// # A commit
//
// Under the exclusive lock: read the head and what others have appended; write the lines of every caller that waits
// (one write); fdatasync log.jsonl; write the older slot of head; fdatasync head; tell the callers. So whatever a
// caller was told is covered by a head on the disk. After a crash at any point at least one slot is whole, and what
// lies in log.jsonl behind its B was never acknowledged: whole entries that continue the chain are taken over, the
// rest is cut off. What lies before B and is not as head says was not made by a crash, and is an error.
//
// A writer that is alone pays two fdatasyncs per entry; callers that come while a commit runs share the next one.
//
// # What this does not prove
//
// The head is not signed. Until checkpoints are signed and kept elsewhere, somebody who can write to the directory can
// compute a whole new log, or shorten one, with a head to match; only a Report that was noted elsewhere (Entries and
// Root) shows it. Restoring the whole directory from an older copy is the same deed. Entries behind the head, as a
// crash leaves them, can be forged as a whole, or cut, until a commit covers them.
package audit
