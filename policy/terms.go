package policy

import "time"

// A Kind says what a class is for, where the law has rules of its own for it.
type Kind string

// The kinds of classes.
const (
	Training  Kind = "training"  // training and evaluation of staff: has an end, is never systematic, may be linked with screens
	Evidence  Kind = "evidence"  // proof of a contract: begins on a mark and holds what lies between marks
	Emergency Kind = "emergency" // emergency calls: every one, and a missing one is an alarm
	Other     Kind = ""          // anything else: the kind that a class has which does not say
)

// Kinds lists the kinds that a class may say it is of.
func Kinds() []Kind { return []Kind{Training, Evidence, Emergency} }

// MayLinkScreen tells whether a recording of the class may be linked with one of a screen: for training and evaluation only (R10).
func (c Class) MayLinkScreen() bool { return c.Kind == Training }

// A Start says when the first frame may be kept.
type Start string

// When a recording begins.
const (
	AtOnce      Start = "at_once"      // with the call, as far as its consent allows
	AfterNotice Start = "after_notice" // when the parties have been informed; nothing before that is kept (R28)
	OnMark      Start = "on_mark"      // at a mark, until another mark; nothing before it is kept (R36, R46)
)

// A Campaign is the time in which a class records. A zero Campaign has neither beginning nor end.
type Campaign struct {
	From  string `json:"from,omitempty"`  // first day, RFC 3339 full-date
	Until string `json:"until,omitempty"` // last day, included
}

// A Council is the consultation of the works council about a class (R32).
type Council struct {
	Date      string `json:"date,omitempty"`      // of the consultation, RFC 3339 full-date
	Reference string `json:"reference,omitempty"` // of its minutes
	None      string `json:"none,omitempty"`      // why there was nobody to consult
}

// A Scope says which calls share one draw (R02).
type Scope string

// The scopes of a draw.
const (
	PerCall         Scope = "call"         // each communication session, all its legs, retries and re-INVITEs
	PerConversation Scope = "conversation" // all communication sessions that the SRC puts into one group, transfers among them
	PerAgentDay     Scope = "agent_day"    // all calls of an internal participant in a day of the policy's time zone
)

// Scopes lists the scopes.
func Scopes() []Scope { return []Scope{PerCall, PerConversation, PerAgentDay} }

// A Quota is how many recordings of a class are kept of each agent. A zero Quota sets no limit.
type Quota struct {
	Calls int   `json:"calls"` // from 1 to MaxQuota
	Every Every `json:"every"`
}

// MaxQuota is the largest quota.
const MaxQuota = 1000

// Every is the time in which a quota counts, in the policy's time zone.
type Every string

// The times of quotas.
const (
	EveryDay   Every = "day"
	EveryWeek  Every = "week" // ISO 8601: from Monday
	EveryMonth Every = "month"
)

// length is how long a quota counts; zero without a quota.
func (q Quota) length() Period {
	switch {
	case q.Calls == 0:
		return Period{}
	case q.Every == EveryDay:
		return Period{Days: 1}
	case q.Every == EveryMonth:
		return Period{Months: 1}
	default:
		return Period{Days: 7}
	}
}

// A Wait is what becomes of a call for which facts that a rule needs are not there yet.
type Wait struct {
	AtMost Period `json:"at_most,omitzero"` // from the call's beginning
	Then   Then   `json:"then,omitempty"`
}

// Then is what a class does with a call whose facts never came.
type Then string

// What comes after waiting.
const (
	ThenSkip   Then = "skip"   // the rule does not apply, the next one is tried
	ThenRecord Then = "record" // the rule decides by what is known
	ThenNot    Then = "none"   // the call is not recorded
)

// DefaultWait is how long is waited for facts where a class does not say, and MaxWait the longest that it may say.
const (
	DefaultWait = 5 * time.Second
	MaxWait     = 5 * time.Minute
)
