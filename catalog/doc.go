// Package catalog is the index of recordings: what a call was, who took part, what was decided about it, and where its objects
// are. It is kept in one SQLite file, or in a database on a PostgreSQL server; several processes may open it at once, the command line
// beside the server.
//
// The catalog is not the truth: the pair of objects in the store is, and the catalog can be rebuilt from it by putting each
// recording again. What is put in any order is listed in the same order, with the same content.
//
// # Calls that were not recorded
//
// Of a call that was not recorded the catalog holds the decision and nothing that names anybody, unless its class says
// otherwise. What identifies people and calls is then put as keyed hashes, each beginning with [HashPrefix]: aor, number,
// call ids and the call's key. The caller makes them, in lower case; the catalog keeps them as they are, and finds them
// by the whole hash only. Names are left empty.
//
// # Conversations
//
// Recordings that share a link belong to one conversation: the legs of a call, its retries, its halves on two servers, and the calls of
// one communication session group. Links are keyed hashes of identifiers, so that they tell nothing, and calls that were not recorded
// have them too. Query.Conversation follows them as far as they lead, up to a thousand recordings (docs/decisions/0016).
//
// # What the store does not say
//
// What is doomed, and what somebody has released, is in no object: the audit log tells of it, and a rebuilt catalog knows it again. A
// recording that is expired or destroyed keeps a row without names. The documents about recordings are objects, and are indexed from them.
//
// # Holds, erasures, restrictions
//
// What is held is not destroyed, and what is condemned is not held any more: both are decided in one transaction. Who asked for an erasure, who
// decided, and what is restricted stands in the audit log too, of which a rebuild makes these tables again; of a rule's query the log has
// keyed hashes only, where it names somebody.
//
// # Lists
//
// Beside recordings the catalog has what processes share: who objects to being recorded, the places of quotas, and calls whose recordings are
// expected. Numbers and addresses are keyed hashes there. What a rebuild cannot find again, the audit log tells of.
//
// # The database
//
// SQLite in WAL mode, or PostgreSQL (tested with version 15); every commit durable. Times are integers: milliseconds since 1970 in UTC, 0 where
// there is none. The tables participants, call_ids and links exist for searching; the lists themselves are JSON in the table recordings.
//
// Statements are the same for both; what differs is in one value, a dialect. Text is compared by its bytes. SQLite lets one transaction
// after the other write; on PostgreSQL those that read before they write have locks (pg_advisory_xact_lock) on what they read of, a
// recording or a quota, and see what was committed before (READ COMMITTED). Of whatever ends with ErrUnavailable it is not known whether it
// was done: every change may be made again.
package catalog
