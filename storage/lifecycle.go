package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Names of our lifecycle rules. A rule with another name is somebody else's, and is never touched.
const (
	lifecycleOurs      = "greffier-"
	lifecycleClass     = "greffier-class-"     // and the class's name
	lifecycleDocuments = "greffier-documents-" // and the class's name
	lifecycleMarkers   = "greffier-markers"    // removes delete markers that hide nothing any more
	lifecycleUploads   = "greffier-uploads"    // removes the parts of uploads that were never completed
	ofDocuments        = "-of-documents"       // the same two, where documents stand
)

// Where recordings stand, and documents about them, each in a folder for each class.
const (
	RecordingPrefix = "rec/"
	DocumentPrefix  = "ana/"
)

const (
	// noncurrentDays is how long a version stays that a marker hides: the least that there is.
	noncurrentDays = 1
	// abortDays is after how many days the parts of an upload are removed that was not completed.
	abortDays = 1
	// roundingDays is what a service's whole days cost: the marker comes at the first midnight after its day, the version goes a
	// day after that, again at midnight.
	roundingDays = 3
	// mandateDays is by how much more than its lock an expiry is put off where early is wrong and late is not.
	mandateDays = 2
	// MaxLifecycleSlack is the most days that a service may be said to be late.
	MaxLifecycleSlack = 30
	// maxLifecycleRules is the service's own limit for a bucket, ours and those of others.
	maxLifecycleRules = 1000
)

// A LifecycleClass is a class of recordings, as far as lifecycle rules are concerned.
type LifecycleClass struct {
	Name string
	// Until is the end of the term of what was made at a time. Calendar months differ in length; the rule has days.
	Until func(made time.Time) time.Time
	// Lock is the mode that recordings are locked in until then; empty: they are not.
	Lock Mode
	// Mandated says that the law wants them kept: not to lose them counts for more than to be rid of them in time.
	Mandated bool
	// Documents is the end of the term of what is written about them, which no lock keeps; nil: nothing is.
	Documents func(made time.Time) time.Time
}

// A LifecycleRule is a rule by which the service itself removes what is over. Days are whole days from the upload on.
type LifecycleRule struct {
	ID             string `json:"id"`
	Prefix         string `json:"prefix"`
	Days           int    `json:"days,omitempty"`            // until a delete marker hides the object
	NoncurrentDays int    `json:"noncurrent_days,omitempty"` // from then on, until the version goes, if no lock is left
	Markers        bool   `json:"markers,omitempty"`         // delete markers go that hide nothing
	AbortDays      int    `json:"abort_days,omitempty"`      // until the parts of an upload that was not completed go
	// Altered says that the service has more in this rule than we would write, or has switched it off.
	Altered bool `json:"altered,omitempty"`
}

func (r LifecycleRule) String() string {
	var parts []string
	add := func(text string, days int) {
		switch {
		case days == 1:
			parts = append(parts, text+" after a day")
		case days > 1:
			parts = append(parts, fmt.Sprintf("%s after %d days", text, days))
		}
	}
	add("hide", r.Days)
	add("delete hidden versions", r.NoncurrentDays)
	add("abort uploads", r.AbortDays)
	if r.Markers {
		parts = append(parts, "remove markers that hide nothing")
	}
	if r.Altered {
		parts = append(parts, "altered or disabled")
	}
	return fmt.Sprintf("%s %s: %s", r.ID, r.Prefix, strings.Join(parts, ", "))
}

// LifecycleRules gives the rules for classes: one each for its recordings and for its documents, and two for all of either. slack is by how many days the service may be late beyond the
// whole days that every service counts in.
func LifecycleRules(classes []LifecycleClass, slack int) ([]LifecycleRule, error) {
	if slack < 0 || slack > MaxLifecycleSlack {
		return nil, fmt.Errorf("make lifecycle rules: %w: slack of %d days, write 0 to %d", ErrInvalid, slack, MaxLifecycleSlack)
	}
	var out, documents []LifecycleRule
	for _, c := range classes {
		if err := checkPrefix(RecordingPrefix + c.Name + "/"); err != nil || c.Name == "" || c.Until == nil {
			return nil, fmt.Errorf("make lifecycle rules: %w: class %q", ErrInvalid, c.Name)
		}
		out = append(out, LifecycleRule{
			ID: lifecycleClass + c.Name, Prefix: RecordingPrefix + c.Name + "/", Days: expiryDays(c, slack), NoncurrentDays: noncurrentDays,
		})
		if c.Documents != nil {
			// Written after the call, and kept from its end: the rule comes late, and never early.
			documents = append(documents, LifecycleRule{
				ID: lifecycleDocuments + c.Name, Prefix: DocumentPrefix + c.Name + "/", Days: longestDays(c.Documents), NoncurrentDays: noncurrentDays,
			})
		}
	}
	byID := func(a, b LifecycleRule) int { return strings.Compare(a.ID, b.ID) }
	slices.SortFunc(out, byID)
	slices.SortFunc(documents, byID)
	out = append(out, documents...)
	out = append(out,
		LifecycleRule{ID: lifecycleMarkers, Prefix: RecordingPrefix, Markers: true},
		LifecycleRule{ID: lifecycleUploads, Prefix: RecordingPrefix, AbortDays: abortDays})
	if len(documents) > 0 {
		out = append(out,
			LifecycleRule{ID: lifecycleMarkers + ofDocuments, Prefix: DocumentPrefix, Markers: true},
			LifecycleRule{ID: lifecycleUploads + ofDocuments, Prefix: DocumentPrefix, AbortDays: abortDays})
	}
	return out, nil
}

// optional tells a rule that nothing depends on: some services do not know such a rule, and refuse it.
func (r LifecycleRule) optional() bool { return strings.HasPrefix(r.ID, lifecycleUploads) }

// expiryDays is after how many days an object of a class is to be hidden.
//
// A class with a mandate is hidden two days after its longest term: later is safe, earlier is not. So that everything of another class
// is gone in its longest term, it is hidden so much earlier as rounding and slack may take; what is hidden stays as long as its lock
// lasts, and is read by its version. What has no lock is hidden at the end of the longest term: nothing else keeps it until then.
func expiryDays(c LifecycleClass, slack int) int {
	longest := longestDays(c.Until)
	switch {
	case c.Mandated || c.Lock == Compliance:
		return longest + mandateDays
	case c.Lock == "":
		return longest
	}
	return max(1, longest-roundingDays-slack)
}

// longestDays is the greatest number of days that a term can have, begun days included. Four years of beginnings hold every
// combination of month lengths.
func longestDays(until func(time.Time) time.Time) int {
	const day = 24 * time.Hour
	longest := 1
	start := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 4*365 + 1 {
		from := start.AddDate(0, 0, i)
		longest = max(longest, int((until(from).Sub(from)+day-1)/day))
	}
	return longest
}

// A LifecycleState says how the rules of a bucket stand to those that it should have.
type LifecycleState string

// The states.
const (
	LifecycleInStep     LifecycleState = "in step"
	LifecycleDrift      LifecycleState = "drift"       // some rule of ours is missing or different
	LifecycleNotPlanned LifecycleState = "not planned" // there is no rule of ours at all
	LifecycleNone       LifecycleState = "none"        // the service has no lifecycle rules
)

// A LifecycleChange is a difference between a bucket's rules and those that it should have.
type LifecycleChange struct {
	Was  *LifecycleRule `json:"was,omitempty"` // nil: it is missing
	Want LifecycleRule  `json:"want"`
	// Shorter says that what is older than the new days becomes due at once, as far as no lock holds it.
	Shorter bool `json:"shorter,omitempty"`
	// Optional says that nothing depends on it: some services do not know such a rule, and refuse it.
	Optional bool `json:"optional,omitempty"`
}

// A LifecyclePlan is what would have to be done to a bucket's rules.
type LifecyclePlan struct {
	State   LifecycleState    `json:"state"`
	Changes []LifecycleChange `json:"changes"`
	// Kept are rules of ours for classes that are not asked for any more. Their recordings still have to go: the rules stay.
	Kept []LifecycleRule `json:"kept,omitempty"`
	// Others are the names of rules that are not ours, and Covering those of them that remove something of ours, too.
	Others   []string `json:"others,omitempty"`
	Covering []string `json:"covering,omitempty"`
}

// A Lifecycle is what a bucket has: our rules, and what is to be known of those of others.
type Lifecycle struct {
	Ours     []LifecycleRule
	Others   []string
	Covering []string // of Others: enabled ones that expire something where recordings stand
}

// PlanLifecycle compares what a bucket has with what it should have.
func PlanLifecycle(want []LifecycleRule, have Lifecycle) LifecyclePlan {
	p := LifecyclePlan{State: LifecycleInStep, Changes: []LifecycleChange{}, Others: have.Others, Covering: have.Covering}
	was := make(map[string]LifecycleRule, len(have.Ours))
	for _, r := range have.Ours {
		was[r.ID] = r
	}
	for _, w := range want {
		old, there := was[w.ID]
		delete(was, w.ID)
		if there && old == w {
			continue
		}
		c := LifecycleChange{Want: w, Optional: !there && w.optional()}
		if there {
			c.Was = &old
			c.Shorter = w.Days < old.Days
		}
		p.Changes = append(p.Changes, c)
		if !c.Optional {
			p.State = LifecycleDrift
		}
	}
	for _, r := range have.Ours {
		if _, left := was[r.ID]; left {
			p.Kept = append(p.Kept, r)
		}
	}
	if len(have.Ours) == 0 {
		p.State = LifecycleNotPlanned
	}
	return p
}

// merged are the rules of ours that a bucket has when a plan has been carried out: those wanted, and those kept.
func (p LifecyclePlan) merged(want []LifecycleRule) []LifecycleRule {
	return append(slices.Clone(want), p.Kept...)
}

// LifecycleHash is equal for equal rules: the SHA-256 of their JSON, hexadecimal.
func LifecycleHash(rules []LifecycleRule) (string, error) {
	b, err := json.Marshal(rules)
	if err != nil {
		return "", fmt.Errorf("hash lifecycle rules: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
