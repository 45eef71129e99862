package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A ConsentState is what is known of one party's will.
type ConsentState string

// The states. Unknown leads to Informed, both lead to Consented or Objected, and Consented to Withdrawn. From Objected and
// Withdrawn a proven consent, and nothing else, leads back to Consented.
const (
	Unknown     ConsentState = "unknown"
	Informed    ConsentState = "informed"
	Consented   ConsentState = "consented"
	HasObjected ConsentState = "objected"
	Withdrawn   ConsentState = "withdrawn"
)

// A SignalKind is what a party said, or was told.
type SignalKind string

// The kinds of signals.
const (
	SignalInformed  SignalKind = "informed"  // the notice was given
	SignalConsented SignalKind = "consented" // the party agreed
	SignalObjected  SignalKind = "objected"  // the party does not want to be recorded; after a consent: takes it back
)

// A SignalSource is where a signal came from.
type SignalSource string

// The sources of signals.
const (
	FromMetadata  SignalSource = "metadata"  // SIPREC metadata or its extensions
	FromHeader    SignalSource = "header"    // a SIP header field that the SRC profile keeps
	FromAPI       SignalSource = "api"       //
	FromDTMF      SignalSource = "dtmf"      // a digit in the stream
	FromList      SignalSource = "list"      // the standing list, or the directory
	FromCRM       SignalSource = "crm"       // the answer of a customer system
	FromOperator  SignalSource = "operator"  // somebody of ours, by hand
	FromAgreement SignalSource = "agreement" // a contract or a form that was signed before
)

// SignalSources lists the sources.
func SignalSources() []SignalSource {
	return []SignalSource{FromMetadata, FromHeader, FromAPI, FromDTMF, FromList, FromCRM, FromOperator, FromAgreement}
}

// A Signal is one thing that was said about one party's will. Signals are evidence: each is kept, whatever it changed.
type Signal struct {
	Party  string       `json:"party"` // as in Join; "" means everybody, and is allowed of SignalInformed and SignalObjected
	Kind   SignalKind   `json:"kind"`
	At     time.Time    `json:"at"`
	Source SignalSource `json:"source"`
	Proof  string       `json:"proof,omitempty"` // reference of what proves it: a message and its version, a request, a document
}

// Check says what is wrong with a signal.
func (s Signal) Check() error {
	switch {
	case !slices.Contains([]SignalKind{SignalInformed, SignalConsented, SignalObjected}, s.Kind):
		return fmt.Errorf("consent signal: %q is no kind: write informed, consented or objected", s.Kind)
	case !slices.Contains(SignalSources(), s.Source):
		return fmt.Errorf("consent signal: %q is no source: write one of %s", s.Source, listOf(SignalSources()))
	case s.At.IsZero():
		return errors.New("consent signal: its time is missing")
	case s.Party == "" && s.Kind == SignalConsented:
		return errors.New("consent signal: nobody consents for everybody: name the party")
	}
	return nil
}

// next is the state after a signal, and whether it changes anything.
func (s ConsentState) next(sig Signal) (ConsentState, bool) {
	switch sig.Kind {
	case SignalInformed:
		return Informed, s == Unknown
	case SignalConsented:
		if s == HasObjected || s == Withdrawn {
			return Consented, sig.Proof != ""
		}
		return Consented, s != Consented
	default:
		if s == Consented {
			return Withdrawn, true
		}
		return HasObjected, s != HasObjected && s != Withdrawn
	}
}

// knows tells whether the party has been informed, or has shown that it knows.
func (s ConsentState) knows() bool { return s == Informed || s == Consented }

// An Action is what is to be done with a call's audio.
type Action string

// The actions.
const (
	KeepAudio    Action = "record"  // it is kept
	HoldAudio    Action = "hold"    // in memory only, until Verdict.Until
	NoAudio      Action = "none"    // none is kept now; what was kept stays; it may be kept later
	DestroyAudio Action = "destroy" // none is kept, and what was kept, or held, is destroyed
)

// Why a verdict is as it is.
type VerdictReason string

// The reasons of verdicts.
const (
	WhyMandate   VerdictReason = "mandate"
	WhyGranted   VerdictReason = "granted"    // what the mode asks for is there
	WhyMeanwhile VerdictReason = "meanwhile"  // it is missing, and may still come
	WhyNoNotice  VerdictReason = "no_notice"  // notice did not come in time
	WhyNoConsent VerdictReason = "no_consent" // consent did not come in time
	WhyObjected  VerdictReason = "objected"
	WhyWithdrawn VerdictReason = "withdrawn"
)

// A Verdict is what the parties' will, and its absence, mean for a call now.
type Verdict struct {
	Action Action        `json:"action"`
	Reason VerdictReason `json:"reason"`
	Party  string        `json:"party,omitempty"`  // who objected or withdrew
	Since  time.Time     `json:"since,omitzero"`   // of DestroyAudio: what was kept from then on; zero: all of it
	Until  time.Time     `json:"until,omitzero"`   // ask again then, if nothing happens before
	Answer string        `json:"answer,omitempty"` // to somebody who objected in vain: why
}

// NotApplicable is the answer to an objection to a recording that a text obliges to, which follows it.
const NotApplicable = "not applicable: "

// Consents follow the will of the parties of one call. They belong to one goroutine; nothing in them waits or fails.
type Consents struct {
	terms     ConsentTerms
	mandate   string
	began     time.Time
	parties   []*consentParty
	everybody ConsentState // of parties yet to come: Unknown, Informed or HasObjected
	signals   []Signal
	settled   bool // what the mode asks for has been there once
	expired   bool // it never was, and its time is over
}

type consentParty struct {
	id       string
	internal bool
	present  bool
	joined   time.Time
	state    ConsentState
	since    time.Time // of state
}

// NewConsents begins to follow a call of a class that began at the time. The mode is the decision's.
func NewConsents(c Class, mode ConsentMode, began time.Time) *Consents {
	return &Consents{terms: c.Consent.Under(mode), mandate: c.Mandate, began: began, everybody: Unknown}
}

// Join adds a party that came at the time, or brings one back; a party keeps its state for the call.
func (k *Consents) Join(party string, internal bool, at time.Time) {
	k.observe(at)
	p := k.find(party)
	if p == nil {
		p = &consentParty{id: party, state: k.everybody, joined: at}
		k.parties = append(k.parties, p)
	}
	p.internal, p.present = internal, true
}

// Leave takes a party away. What it objected to stays so.
func (k *Consents) Leave(party string) {
	if p := k.find(party); p != nil {
		p.present = false
	}
}

// Apply takes a signal, and tells whether it changed anybody's state. Every good signal is kept as evidence. Notice and consent that
// are older than what is known of the party change nothing; an objection counts whenever it was made.
func (k *Consents) Apply(s Signal) (changed bool, err error) {
	if err := s.Check(); err != nil {
		return false, err
	}
	if s.Party != "" && k.find(s.Party) == nil {
		return false, errors.New("consent signal: there is no such party in the call")
	}
	k.observe(s.At)
	k.signals = append(k.signals, s)
	for _, p := range k.parties {
		if s.Party != "" && s.Party != p.id || s.Kind != SignalObjected && s.At.Before(p.since) {
			continue
		}
		if next, changes := p.state.next(s); changes {
			p.state, p.since, changed = next, s.At, true
		}
	}
	if s.Party == "" { // of those to come too
		if next, changes := k.everybody.next(s); changes {
			k.everybody, changed = next, true
		}
	}
	k.settled = k.settled || !k.expired && k.granted()
	return changed, nil
}

// State gives the state of a party; Unknown of one that never joined.
func (k *Consents) State(party string) ConsentState {
	if p := k.find(party); p != nil {
		return p.state
	}
	return Unknown
}

// Signals lists the signals as they came.
func (k *Consents) Signals() []Signal { return slices.Clone(k.signals) }

// observe lets the time pass.
func (k *Consents) observe(now time.Time) {
	switch {
	case k.granted():
		k.settled = k.settled || !k.expired
	case !k.settled && k.terms.over(k.began, now):
		k.expired = true
	}
}

// over tells whether the time for what is missing since then has passed.
func (c ConsentTerms) over(since, now time.Time) bool {
	return !c.Within.IsZero() && !now.Before(c.Within.After(since))
}

// Verdict says what is to be done now.
//
// What the class asks for may come within its time from the call's beginning. If it does not, nothing of the call is kept, whatever
// comes later, unless each party consents: then a new recording may begin. Somebody who joins a call that was in order has the same
// time from then on; if it passes, what was kept since they joined is to be destroyed, and it goes on when they leave.
func (k *Consents) Verdict(now time.Time) Verdict {
	k.observe(now)
	if against := k.against(); against != nil {
		return k.objection(*against)
	}
	if k.terms.Mode == NoneMandated {
		return Verdict{Action: KeepAudio, Reason: WhyMandate}
	}
	why := WhyNoNotice
	if k.terms.Mode.OptsIn() {
		why = WhyNoConsent
	}
	switch {
	case k.expired && k.allConsented(), !k.expired && k.granted():
		return Verdict{Action: KeepAudio, Reason: WhyGranted}
	case k.expired:
		return Verdict{Action: DestroyAudio, Reason: why}
	}
	since := k.began
	if k.settled {
		since = k.newcomer()
	}
	if k.terms.over(since, now) {
		return Verdict{Action: DestroyAudio, Reason: why, Since: since}
	}
	v := Verdict{Action: NoAudio, Reason: WhyMeanwhile}
	if !k.terms.Within.IsZero() {
		v.Until = k.terms.Within.After(since)
	}
	switch k.terms.Unknown {
	case MeanwhileRecord:
		v.Action = KeepAudio
	case MeanwhileHold:
		v.Action = HoldAudio
	}
	return v
}

// newcomer is when the first of those came who are there and of whom something is missing.
func (k *Consents) newcomer() time.Time {
	first := time.Time{}
	for _, p := range k.parties {
		lacks := !p.state.knows() || k.terms.Mode.OptsIn() && p.state != Consented
		if k.asks(p) && lacks && (first.IsZero() || p.joined.Before(first)) {
			first = p.joined
		}
	}
	if first.IsZero() { // everybody has left who was asked
		return k.began
	}
	return first
}

// asks tells whether the party is there and is asked.
func (k *Consents) asks(p *consentParty) bool {
	return p.present && !(p.internal && k.terms.Of == ExternalOnly)
}

// against finds somebody who does not want the recording, whether still there or not: what they said is on it.
func (k *Consents) against() *consentParty {
	for _, p := range k.parties {
		if p.state == HasObjected || p.state == Withdrawn {
			return p
		}
	}
	if k.everybody == HasObjected {
		return &consentParty{state: HasObjected}
	}
	return nil
}

func (k *Consents) objection(p consentParty) Verdict {
	v := Verdict{Action: DestroyAudio, Reason: WhyObjected, Party: p.id}
	if p.state == Withdrawn {
		v.Reason = WhyWithdrawn
	}
	switch k.terms.Objection {
	case Refused:
		v.Action, v.Reason, v.Answer = KeepAudio, WhyMandate, NotApplicable+k.mandate
	case Stops:
		v.Action = NoAudio
	}
	return v
}

// granted tells whether what the mode asks for is there, for everybody who is there and is asked.
func (k *Consents) granted() bool {
	present, asked, knowing, consenting := 0, 0, 0, 0
	for _, p := range k.parties {
		if p.present {
			present++
		}
		if !k.asks(p) {
			continue
		}
		asked++
		if p.state.knows() {
			knowing++
		}
		if p.state == Consented {
			consenting++
		}
	}
	switch {
	case asked > 0:
	case present > 1, k.settled && len(k.parties) > 0: // a call among staff, or those who were asked have left
		return true
	default: // nobody is named who is asked: somebody is there all the same
		return k.everybody == Informed && !k.terms.Mode.OptsIn()
	}
	switch k.terms.Mode {
	case OptInAll:
		return consenting == asked
	case OptInAny:
		return consenting > 0
	default:
		return knowing == asked
	}
}

// allConsented tells whether each party who is there and is asked has consented.
func (k *Consents) allConsented() bool {
	any := false
	for _, p := range k.parties {
		if !k.asks(p) {
			continue
		}
		if p.state != Consented {
			return false
		}
		any = true
	}
	return any
}

func (k *Consents) find(id string) *consentParty {
	for _, p := range k.parties {
		if p.id == id && id != "" {
			return p
		}
	}
	return nil
}
