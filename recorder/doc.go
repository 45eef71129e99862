// Package recorder is what happens to a call, in order. Read this first.
//
//	Begin    an SRC offers a recording session: decide, then (only when the answer is yes) make a key, a spool and ports
//	Update   metadata and streams change
//	End      the session is over: the timeline is closed, the recording waits in the spool
//	Watch    tells, while a call goes on, of streams that should be recorded and bring nothing
//	Run      finishes what the spool holds: assemble, seal, store, lock, and only then remove the spool
//
// Begin, Update and End are local: they touch no network. Run may fail and be repeated at any step; what it finds in the
// spool after a crash is treated like what it finds after a hang-up.
//
// The order of deeds keeps the promises. A decision is in the audit log before it takes effect; a key and an encrypted
// spool exist before the first port is open; a recording leaves the spool only after the store has shown it locked.
package recorder
