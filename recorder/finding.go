package recorder

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/greffier/greffier/storage"
)

// A FindingKind says what kind of thing disagrees. docs/verify.md tells what to do about each. The names stand in audit logs and in
// metrics: they do not change.
type FindingKind string

// The kinds of findings.
const (
	// RetentionOverdue is a key, or bytes that nothing locks, that are there after their time: a term that has ended, a destruction that
	// was due, an erasure that was approved.
	RetentionOverdue FindingKind = "retention.overdue"
	// RetentionEarlyLoss is something that had to be kept and is not there, cannot be read any more because its key is gone or damaged,
	// or is locked for less than its term.
	RetentionEarlyLoss FindingKind = "retention.early_loss"
	// RetentionUnlocked is a recording whose quarantine has ended, and that is not locked.
	RetentionUnlocked FindingKind = "retention.unlocked"
	// Orphan is an object, a version, a key, a spool file or a row that nothing accounts for.
	Orphan FindingKind = "orphan"
	// HashMismatch is an object that is not what was stored: its bytes, its content, or what stands in clear beside it.
	HashMismatch FindingKind = "hash.mismatch"
	// HoldMismatch is a legal hold of which catalog, store and audit log do not tell the same.
	HoldMismatch FindingKind = "hold.mismatch"
	// AuditMismatch is an audit log that was changed, or that does not tell of what was done.
	AuditMismatch FindingKind = "audit.mismatch"
	// CatalogMismatch is a catalog that is damaged, or says something else than what it is made from.
	CatalogMismatch FindingKind = "catalog.mismatch"
)

// FindingKinds lists the kinds.
func FindingKinds() []FindingKind {
	return []FindingKind{RetentionOverdue, RetentionEarlyLoss, RetentionUnlocked, Orphan, HashMismatch, HoldMismatch, AuditMismatch, CatalogMismatch}
}

// A Finding is one thing that disagrees.
type Finding struct {
	Kind    FindingKind `json:"kind"`
	ID      string      `json:"recording,omitempty"`
	Object  string      `json:"object,omitempty"`  // key in the store
	Version string      `json:"version,omitempty"` // id of the version
	Text    string      `json:"text"`              // what is wrong, without ID
}

// String is the finding in one line, without its kind.
func (f Finding) String() string {
	if f.ID == "" {
		return f.Text
	}
	return f.ID + ": " + f.Text
}

// compare orders findings as they are shown: by kind, recording and text.
func (f Finding) compare(g Finding) int {
	return cmp.Or(slices.Index(FindingKinds(), f.Kind)-slices.Index(FindingKinds(), g.Kind), cmp.Compare(f.ID, g.ID), cmp.Compare(f.Text, g.Text), cmp.Compare(f.Version, g.Version))
}

// findings are those about one recording, or about none.
type findings struct {
	id   string
	list []Finding
}

// add notes what is wrong.
func (f *findings) add(kind FindingKind, format string, args ...any) {
	f.list = append(f.list, Finding{Kind: kind, ID: f.id, Text: fmt.Sprintf(format, args...)})
}

// addAt notes what is wrong with a version.
func (f *findings) addAt(kind FindingKind, ref storage.Ref, format string, args ...any) {
	f.list = append(f.list, Finding{Kind: kind, ID: f.id, Object: ref.Key, Version: ref.VersionID, Text: fmt.Sprintf(format, args...)})
}

// A VerifyReport says whether store, catalog, keys and audit log tell the same story.
type VerifyReport struct {
	Entries     uint64    `json:"audit_entries"`
	Head        string    `json:"audit_head"`
	Recordings  int       `json:"recordings"`   // read whole, hashed and opened
	NotRecorded int       `json:"not_recorded"` // decided not to record, and nothing kept
	Unfinished  int       `json:"unfinished"`   // in progress, or waiting in the spool
	Gone        int       `json:"gone"`         // expired or destroyed, and nothing left that can be read
	Held        int       `json:"held"`         // under a legal hold
	Documents   int       `json:"documents"`    // about recordings, read whole, hashed and opened
	Versions    int       `json:"versions"`     // of whatever objects, that the store lists
	Problems    []Finding `json:"problems"`
	Notices     []string  `json:"notices"` // worth knowing, and nobody's promise
}

// problem notes what is wrong with no single recording.
func (v *VerifyReport) problem(kind FindingKind, format string, args ...any) {
	v.about("", kind, format, args...)
}

// about notes what is wrong with a recording.
func (v *VerifyReport) about(id string, kind FindingKind, format string, args ...any) {
	v.Problems = append(v.Problems, Finding{Kind: kind, ID: id, Text: fmt.Sprintf(format, args...)})
}

func (v *VerifyReport) notice(format string, args ...any) {
	v.Notices = append(v.Notices, fmt.Sprintf(format, args...))
}

// add adds what was found of one recording.
func (v *VerifyReport) add(one VerifyReport) {
	v.Recordings += one.Recordings
	v.NotRecorded += one.NotRecorded
	v.Unfinished += one.Unfinished
	v.Gone += one.Gone
	v.Held += one.Held
	v.Problems = append(v.Problems, one.Problems...)
	v.Notices = append(v.Notices, one.Notices...)
}

// sort orders the findings, and takes out what was found twice.
func (v *VerifyReport) sort() {
	slices.SortFunc(v.Problems, Finding.compare)
	v.Problems = slices.Compact(v.Problems)
}

// Count tells how many findings there are of each kind, of every kind.
func (v *VerifyReport) Count() map[FindingKind]int {
	out := map[FindingKind]int{}
	for _, k := range FindingKinds() {
		out[k] = 0
	}
	for _, f := range v.Problems {
		out[f.Kind]++
	}
	return out
}
