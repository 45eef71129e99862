package policy

import "slices"

// A ConsentMode says what a recording needs of the parties.
type ConsentMode string

// The consent modes, from the one that asks for least to the one that asks for most.
const (
	NoneMandated ConsentMode = "none_mandated" // nothing: a text obliges to record, and an objection is answered, not followed
	Notice       ConsentMode = "notice"        // parties are informed
	OptOut       ConsentMode = "opt_out"       // parties are informed and offered a way out during the call
	OptInAny     ConsentMode = "opt_in_any"    // one of the parties has consented
	OptInAll     ConsentMode = "opt_in_all"    // each of the parties has consented
)

// ConsentModes lists the modes, the strictest last.
func ConsentModes() []ConsentMode {
	return []ConsentMode{NoneMandated, Notice, OptOut, OptInAny, OptInAll}
}

// OptsIn tells whether nothing may be kept before somebody has consented.
func (m ConsentMode) OptsIn() bool { return m == OptInAny || m == OptInAll }

// Whom says whose knowledge or consent a class asks for. Anybody may object.
type Whom string

// Whose consent counts.
const (
	Everybody    Whom = "all"
	ExternalOnly Whom = "external" // staff are asked elsewhere: see Class.Acknowledgement
)

// Meanwhile says what happens while consent or notice is still missing.
type Meanwhile string

// What happens meanwhile.
const (
	MeanwhileRecord Meanwhile = "record" // recorded
	MeanwhileHold   Meanwhile = "hold"   // kept in memory only, and forgotten unless it comes in time
	MeanwhileNone   Meanwhile = "none"   // not recorded
)

// An OnObjection says what an objection does. Whatever it says but Refused stops both channels.
type OnObjection string

// What an objection does.
const (
	Destroys OnObjection = "destroy" // what was kept is destroyed
	Stops    OnObjection = "stop"    // what was kept stays
	Refused  OnObjection = "refused" // nothing: the text that obliges is the answer
)

// ConsentTerms are what a class asks of the parties of its calls, and what it does without.
type ConsentTerms struct {
	Mode      ConsentMode `json:"mode"`
	Of        Whom        `json:"of"`
	Unknown   Meanwhile   `json:"unknown"`           // while what the mode asks for is missing
	Within    Period      `json:"within,omitzero"`   // from the call's beginning; when still missing then, what was kept is discarded; zero: no end
	Objection OnObjection `json:"objection"`         //
	Object    string      `json:"object,omitempty"`  // the DTMF digit that objects; "" none
	Agree     string      `json:"consent,omitempty"` // the DTMF digit that consents
}

// Limits of ConsentTerms.
var (
	// defaultHold is how long something is held in memory where a class does not say, maxHold the longest that it may say.
	defaultHold = Period{Time: 30e9}
	maxHold     = Period{Time: 300e9}
)

// complete fills in what the class does not say.
func (c ConsentTerms) complete(class *Class) ConsentTerms {
	if c.Mode == "" {
		switch {
		case class.LegalBasis == Consent:
			c.Mode = OptInAll
		case class.Mandate != "":
			c.Mode = NoneMandated
		default:
			c.Mode = Notice
		}
	}
	if c.Of == "" {
		c.Of = ExternalOnly
		if c.Mode == OptInAll {
			c.Of = Everybody
		}
	}
	if c.Unknown == "" {
		c.Unknown = MeanwhileRecord
		if c.Mode.OptsIn() || class.Start == AfterNotice {
			c.Unknown = MeanwhileNone
		}
	}
	if c.Within.IsZero() && c.Unknown == MeanwhileHold {
		c.Within = defaultHold
	}
	if c.Objection == "" {
		c.Objection = Destroys
		if c.Mode == NoneMandated {
			c.Objection = Refused
		}
	}
	return c
}

// Answer is the party's meaning of a DTMF digit under this consent.
func (c ConsentTerms) Answer(digit string) (k SignalKind, ok bool) {
	switch {
	case digit == "":
		return "", false
	case digit == c.Object:
		return SignalObjected, true
	case digit == c.Agree:
		return SignalConsented, true
	}
	return "", false
}

// Under gives the terms with a stricter mode, as a rule may ask for. A mode that is not stricter changes nothing.
func (c ConsentTerms) Under(mode ConsentMode) ConsentTerms {
	if !mode.stricterThan(c.Mode) {
		return c
	}
	c.Mode = mode
	if mode == OptInAll {
		c.Of = Everybody
	}
	if mode.OptsIn() && c.Unknown == MeanwhileRecord {
		c.Unknown, c.Within = MeanwhileNone, Period{}
	}
	if c.Objection == Refused {
		c.Objection = Destroys
	}
	return c
}

func (m ConsentMode) stricterThan(other ConsentMode) bool {
	return slices.Index(ConsentModes(), m) > slices.Index(ConsentModes(), other)
}
