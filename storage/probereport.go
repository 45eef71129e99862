package storage

import (
	"fmt"
	"strings"
	"time"
)

// A Level says in a word how far a store was proven to keep what it is told to keep.
type Level string

// The levels. A [Dir] has one of its own.
const (
	// WormVerified: every row of the table came out as it should.
	WormVerified Level = "worm-verified"
	// NoLifecycle: the locks are locks, and the service deletes nothing by itself; whoever uses the store has to.
	NoLifecycle Level = "no-lifecycle"
	// WormPartial: some lock can be got around. Nothing that the law wants locked belongs there.
	WormPartial Level = "worm-partial"
	// Unversioned: versions are not kept, so that nothing can be locked at all.
	Unversioned Level = "unversioned"
	// SoftwareLock: the locks are this program's own, and bind nobody else.
	SoftwareLock Level = "software-lock"
)

// Levels lists every level, the best first.
func Levels() []Level {
	return []Level{WormVerified, NoLifecycle, SoftwareLock, WormPartial, Unversioned}
}

// A Row is one question to the service, and its answer.
type Row struct {
	Name string `json:"name"` // does not change: monitoring may rely on it
	Want string `json:"want"`
	Got  string `json:"got"`
	OK   bool   `json:"ok"`
	Why  string `json:"why,omitempty"` // of a row that is not OK: what may happen, and the service's words
}

// A Report is what a probe found.
type Report struct {
	Level Level `json:"level"`
	Rows  []Row `json:"rows"`
}

// Failed are the rows that are not OK.
func (r Report) Failed() []Row {
	var out []Row
	for _, row := range r.Rows {
		if !row.OK {
			out = append(out, row)
		}
	}
	return out
}

// What the answers to a probe are called.
const (
	gotAllowed      = "allowed"
	gotDenied       = "denied"
	gotIgnored      = "ignored" // answered with success, and nothing changed
	gotEnabled      = "enabled"
	gotSame         = "as it was set"
	gotMarker       = "marker, version stays"
	gotHalf         = "expired deleted, locked denied"
	gotNone         = "none deleted"
	gotReadable     = "readable"
	gotNotPermitted = "not permitted"
	gotNotChecked   = "not checked"
)

// The names of the rows.
const (
	rowVersioning       = "versioning"
	rowLock             = "object-lock"
	rowClock            = "clock"
	rowDelete           = "unlocked-delete"
	rowLockLater        = "lock-after-upload"
	rowReadBack         = "retention-read-back"
	rowCompliance       = "compliance-delete"
	rowComplianceBypass = "compliance-delete-bypass"
	rowExtend           = "compliance-extend"
	rowShorten          = "compliance-shorten"
	rowWeaken           = "compliance-to-governance"
	rowMarker           = "delete-without-version"
	rowGovernance       = "governance-delete"
	rowGovernanceSooner = "governance-shorten"
	rowBypass           = "writer-bypass"
	rowHold             = "legal-hold"
	rowBatch            = "batch-delete"
	rowOnce             = "if-none-match"
	rowOnceParts        = "if-none-match-multipart"
	rowLifecycle        = "lifecycle"
)

// A check is what a row should come out as, and what follows when it does not.
type check struct {
	name, want string
	also       string // an answer that is as good, though it proves nothing
	deletes    bool   // it proves something only if the credentials may delete at all
	harmless   bool   // no lock can be got around by it: the level stays
	why        string
}

// checks is the table, in the order in which the service is asked.
var checks = []check{
	{name: rowVersioning, want: gotEnabled, why: "without versions nothing can be locked: enable versioning and object lock, or make a new bucket with them"},
	{name: rowLock, want: gotEnabled, why: "object lock has to be on, without a default retention: many services allow it only when a bucket is made"},
	{name: rowClock, want: clockWant(), why: "locks end by the service's clock: set this machine's, or the service's, by NTP"},
	{name: rowDelete, want: gotAllowed, why: "what expires is never deleted, and that deletions are denied below proves nothing: allow s3:DeleteObjectVersion"},
	{name: rowLockLater, want: gotAllowed, why: "what was uploaded cannot be locked: allow s3:PutObjectRetention"},
	{name: rowReadBack, want: gotSame, why: "what is said to be locked may not be: allow s3:GetObjectRetention"},
	{name: rowCompliance, want: gotDenied, deletes: true, why: "a COMPLIANCE lock locks nothing"},
	{name: rowComplianceBypass, want: gotDenied, deletes: true, why: "a COMPLIANCE lock can be got around as a GOVERNANCE lock can"},
	{name: rowExtend, want: gotAllowed, why: "a lock cannot be made longer, and that it cannot be made shorter proves nothing"},
	{name: rowShorten, want: gotDenied, why: "a COMPLIANCE lock can be made shorter, and the object then deleted"},
	{name: rowWeaken, want: gotDenied, why: "a COMPLIANCE lock can be made a GOVERNANCE lock, and that be got around"},
	{name: rowMarker, want: gotMarker, why: "an object that was deleted by its key, or hidden by a lifecycle rule, is not kept or not seen to be locked"},
	{name: rowGovernance, want: gotDenied, deletes: true, why: "a GOVERNANCE lock locks nothing"},
	{name: rowGovernanceSooner, want: gotDenied, why: "a GOVERNANCE lock can be made shorter by anybody who may lock"},
	{name: rowBypass, want: gotDenied, deletes: true, why: "the recorder's own credentials can get around GOVERNANCE locks: give it some without s3:BypassGovernanceRetention"},
	{name: rowHold, want: gotDenied, also: gotNotPermitted, deletes: true, why: "a legal hold holds nothing"},
	{name: rowBatch, want: gotHalf, also: gotNone, deletes: true, why: "deleted in one request with an object whose lock has ended, a locked one goes too"},
	{name: rowOnce, want: gotDenied, harmless: true, why: "an object can be written over: the version before stays, and is read by its id; never let two recorders share a spool"},
	{name: rowOnceParts, want: gotDenied, harmless: true, why: "a large object can be written over: the version before stays, and is read by its id; never let two recorders share a spool"},
	{name: rowLifecycle, want: gotReadable, why: "the service deletes nothing by itself: the recorder's sweeper does, as long as it runs"},
}

// A sight is what came of a check, with the service's words.
type sight struct{ got, said string }

// judge makes the report of what was seen, by the names of the rows. What was not looked at counts as not OK.
func judge(seen map[string]sight) Report {
	rep := Report{Level: WormVerified}
	mayDelete := seen[rowDelete].got == gotAllowed
	for _, c := range checks {
		s, ok := seen[c.name]
		if !ok {
			s.got = gotNotChecked
		}
		row := Row{Name: c.name, Want: c.want, Got: s.got, OK: s.got == c.want || c.also != "" && s.got == c.also}
		why := c.why
		if row.OK && c.deletes && !mayDelete {
			row.OK, why = false, "it proves nothing: the credentials may delete nothing"
		}
		if !ok {
			why = "a row above failed"
		}
		if !row.OK {
			row.Why = strings.TrimSpace(why + saidBy(s))
			if !c.harmless || !ok {
				rep.Level = worse(rep.Level, c.name)
			}
		}
		rep.Rows = append(rep.Rows, row)
	}
	return rep
}

func saidBy(s sight) string {
	if s.said == "" {
		return ""
	}
	return " (" + s.said + ")"
}

// worse is the level of a report that had a level so far, and in which a row failed.
func worse(level Level, failed string) Level {
	switch {
	case failed == rowVersioning || level == Unversioned:
		return Unversioned
	case failed == rowLifecycle && level == WormVerified:
		return NoLifecycle
	case failed == rowLifecycle:
		return level
	}
	return WormPartial
}

// MaxClockSkew is how far the service's clock may be from ours: a lock's end is our time, and the service judges it by its own.
const MaxClockSkew = 5 * time.Minute

func clockWant() string { return fmt.Sprintf("within %v", MaxClockSkew) }

// judgeClock compares the service's clock with ours. Half a second more or less is the Date header's own.
func judgeClock(skew time.Duration) sight {
	s := sight{got: clockWant(), said: fmt.Sprintf("it differs by %v", skew.Round(time.Second))}
	if skew.Abs() > MaxClockSkew {
		s.got = skew.Round(time.Second).String()
	}
	return s
}
