// Package spool keeps what a running recording has received, encrypted from the first byte, on the local disk until
// it is safe elsewhere. What Append accepted survives the death of the process; what was synced (every second by
// itself, at once by Sync) survives the loss of power. Reading gives back what was appended, in order, or says where
// it cannot; it never gives anything else.
//
// # The directory
//
//	VERSION            "greffier-spool 1\n"; a program that knows only lower numbers refuses the directory
//	lock               flock(2)ed by the one process that uses the directory; holds its process id
//	recordings/ID/     one folder per recording, mode 0700
//	recordings/ID/record       the record file, mode 0600, described below
//	recordings/ID/NAME         a staged file, put there by the caller, who has sealed it already
//	recordings/ID/NAME.*.tmp   a staged file that is being written
//	new/               recordings that are being made; emptied by Open
//	trash/             recordings that are being removed; emptied by Open
//
// A recording appears in and disappears from recordings/ by one rename, followed by an fsync of the directory, so a
// crash leaves it there whole or not at all.
//
// # The record file, format 1
//
// A sequence of frames without padding. Integers are unsigned and big-endian unless something else is said. A frame
// is an epoch header or a record; the first frame is an epoch header.
//
// An epoch header, 96 bytes, begins a run of records under a key of their own:
//
//	 0   4  "GSPL" (as a record's length it would be far above the limit, so the two kinds of frame cannot be confused)
//	 4   1  format version, 1
//	 5   3  zero
//	 8   8  time at which the epoch began: nanoseconds since 1970-01-01 UTC, signed
//	16   8  number of the epoch: 0, 1, 2...
//	24   8  counter of the first record of the epoch; 0 in epoch 0
//	32  16  tag of the frame before this one (its last 16 bytes); zero in epoch 0
//	48  32  salt, random
//	80  16  tag: AES-256-GCM over an empty plaintext, nonce 12 bytes of 0xff, additional data bytes 0 to 79
//
// The key of an epoch is HKDF-SHA-256 (RFC 5869) of the recording's 32-byte key, with the salt above and the info
// string "greffier spool 1 " followed by the recording's id; 32 bytes.
//
// A record, 32 bytes and its payload:
//
//	 0   4  length L of the payload, 0 to 1,048,576
//	 4   1  kind, the caller's
//	 5   3  zero
//	 8   8  counter: 0 for the file's first record, one more for each that follows, across epochs
//	16   L  ciphertext
//	+L  16  tag: AES-256-GCM, nonce 4 zero bytes and the counter, additional data bytes 0 to 15
//
// # Syncing
//
// Every SyncInterval what was appended since is synced: by syncfs(2), one call for the whole file system, when many
// recordings have grown and the kernel tells of that file system's write errors (Linux 5.8; ext4, XFS, Btrfs, F2FS);
// else by fdatasync(2) of each file. An error of the first kind is not one recording's: each that was not on the disk
// by then is told so. While syncfs takes long, because others write much there, files are synced one by one. A Sync
// of one writer is fdatasync at all times.
//
// # Why a nonce never meets two plaintexts
//
// Within an epoch the counter only grows. Whatever could make it stand still ends the epoch: Reopen, which may have
// cut a torn record whose bytes somebody has seen, and a failed write, part of which may have reached the disk. The
// next epoch has a fresh random salt, hence another key. Nothing depends on what the disk says about the past.
//
// # Reading
//
// Frames are taken one after the other. At bytes that are no authentic frame, or an authentic one in the wrong
// place, the reader searches for the next frame that is authentic and later than the last:
//
//   - If there is one, something in the middle was changed, lost or moved: a [DamageError]. Reading can go on behind it.
//   - If there is none, this is the tail of a write that a crash cut off: reading ends without error, and
//     [Reader.Dropped] tells the number of bytes.
//
// A file that was cut exactly between two records is a shorter file; who must know writes a last record of a kind of
// its own. Somebody who can write to the disk but lacks the key can shorten a record file, and nothing else unseen.
package spool
