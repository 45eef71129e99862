// Package recorder is what happens to a call, in order. Read this first.
//
//	Begin    an SRC offers a recording session: for each call in it decide, then (only when the answer is yes) make a key, a spool and ports
//	Update   metadata and streams change; calls end, and others begin
//	End      the session is over: the timelines are closed, the recordings wait in the spool
//	Pause    silences a recording from our side, until Resume
//	Ask      asks SRCs for what we want changed: other streams, or their complete metadata
//	Quiet    tells of sessions whose SRC may have vanished
//	Watch    tells, while a call goes on, of streams that should be recorded and bring nothing
//	Run      finishes what the spool holds: assemble, seal, store, lock, and only then remove the spool
//
// A session is a SIP dialog and owns what belongs to it: metadata, description, sockets that nobody uses now. A call is one communication
// session inside it, recorded or not; docs/decisions/0014 says whose every stream is.
//
// Begin, Update and End are local: they touch no network. Run may fail and be repeated at any step; what it finds in the
// spool after a crash is treated like what it finds after a hang-up.
//
// The order of deeds keeps the promises. A decision is in the audit log before it takes effect; a key and an encrypted
// spool exist before the first port is open; a recording leaves the spool only after the store has shown it locked.
package recorder
