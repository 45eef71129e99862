package policy

import (
	"slices"
	"time"
)

// A LegalBasis is one of the six of Art. 6(1) GDPR.
type LegalBasis string

// The legal bases, Art. 6(1)(a) to (f) GDPR.
const (
	Consent             LegalBasis = "consent"
	Contract            LegalBasis = "contract"
	LegalObligation     LegalBasis = "legal_obligation"
	VitalInterests      LegalBasis = "vital_interests"
	PublicTask          LegalBasis = "public_task"
	LegitimateInterests LegalBasis = "legitimate_interests"
)

// A Lock is the object-lock mode of a class.
type Lock string

// The lock modes.
const (
	Governance Lock = "GOVERNANCE" // can be lifted by the few who hold the right
	Compliance Lock = "COMPLIANCE" // can be lifted by nobody before the term
	NoLock     Lock = "none"
)

// A Format is the form in which a recording is stored.
type Format string

// The formats.
const (
	WAV  Format = "wav"  // a WAVE file: G.711 as it came, or 16-bit linear samples
	FLAC Format = "flac" // 16-bit linear samples, compressed without loss
	Opus Format = "opus" // Ogg Opus: small, and not what came but what sounds like it
)

// Formats lists every format.
func Formats() []Format { return []Format{WAV, FLAC, Opus} }

// A ChannelOrder says which party gets the first channel.
type ChannelOrder string

// The channel orders.
const (
	ExternalFirst ChannelOrder = "external_first"
	InternalFirst ChannelOrder = "internal_first"
	ByLabel       ChannelOrder = "label" // in the order of the labels' text, numbers by value
)

// A Field names something about the parties that the catalog may keep (R47).
type Field string

// The fields of keep_metadata.
const (
	FieldAOR     Field = "aor"      // addresses of record
	FieldName    Field = "name"     // display names
	FieldNumber  Field = "number"   // telephone numbers
	FieldRole    Field = "role"     // who called whom
	FieldCallIDs Field = "call_ids" // identifiers of the call
)

// DefaultKeepMetadata lists the fields that the catalog keeps of a class that does not say.
func DefaultKeepMetadata() []Field {
	return []Field{FieldAOR, FieldName, FieldNumber, FieldRole, FieldCallIDs}
}

// Limits of the retention and quarantine of a class.
var (
	// maxRetention needs no mandate; anything longer does (R13, R16).
	maxRetention = Period{Months: 12}
	// defaultQuarantine is that of a class without a mandate; it is none where the retention is no longer.
	defaultQuarantine = Period{Days: 1}
)

// A Class says what a recording is for, how long it is kept and how it is locked. Its name is part of storage keys.
type Class struct {
	Name         string       `json:"name"`
	Purpose      string       `json:"purpose"`
	LegalBasis   LegalBasis   `json:"legal_basis"`
	BalanceTest  string       `json:"balance_test,omitempty"` // reference; never empty for LegitimateInterests
	Mandate      string       `json:"mandate,omitempty"`      // reference of the text that obliges to record
	Retention    Period       `json:"retention"`              // from the call's end; never zero
	Quarantine   Period       `json:"quarantine"`             // from the call's end, before the lock; may be zero
	Lock         Lock         `json:"lock"`
	Sample       Sample       `json:"sample"` // a rule may say otherwise
	Format       Format       `json:"format"`
	KeepMetadata []Field      `json:"keep_metadata"` // sorted
	Channels     ChannelOrder `json:"channels"`

	Kind              Kind         `json:"kind,omitempty"`
	Start             Start        `json:"start,omitempty"`
	Consent           ConsentTerms `json:"consent,omitzero"`
	SampleScope       Scope        `json:"sample_scope,omitempty"`
	Quota             Quota        `json:"quota,omitzero"`
	Campaign          Campaign     `json:"campaign,omitzero"`
	Wait              Wait         `json:"wait,omitzero"`
	AnalysisRetention Period       `json:"analysis_retention,omitzero"` // of notes, transcripts and evaluations, from the call's end; zero: as long as the recording
	ProofWithin       Period       `json:"proof_within,omitzero"`       // of Evidence: another proof that comes in this time makes the recording needless
	MissingAlarm      Period       `json:"missing_alarm,omitzero"`      // how long after a call a missing recording raises an alarm; zero: never
	Acknowledgement   string       `json:"acknowledgement,omitempty"`   // notice that every internal participant must have acknowledged
	WorksCouncil      Council      `json:"works_council,omitzero"`
	DPO               string       `json:"dpo,omitempty"` // reference of the data protection officer's opinion
	Pause             PauseTerms   `json:"pause,omitzero"`
}

// Until is the end of the term of a recording of a call that ended at the given time: what it is locked and kept until.
func (c Class) Until(end time.Time) time.Time { return c.Retention.After(end) }

// DocumentsUntil is the end of the term of what is written about a recording of a call that ended at the given time.
func (c Class) DocumentsUntil(end time.Time) time.Time {
	if c.AnalysisRetention.IsZero() {
		return c.Until(end)
	}
	return c.AnalysisRetention.After(end)
}

// QuarantineUntil is the instant at which a recording of a call that ended at the given time is to be locked. It is never
// after Until.
func (c Class) QuarantineUntil(end time.Time) time.Time {
	quarantine, term := c.Quarantine.After(end), c.Until(end)
	if quarantine.After(term) {
		return term
	}
	return quarantine
}

// Keeps tells whether the catalog keeps the field.
func (c Class) Keeps(f Field) bool { return slices.Contains(c.KeepMetadata, f) }

func (c Class) clone() Class {
	c.KeepMetadata = slices.Clone(c.KeepMetadata)
	return c
}
