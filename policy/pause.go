package policy

import (
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// A PauseReason says why nothing of a call is recorded for a while.
type PauseReason string

// The reasons of pauses (R08).
const (
	PausePayment PauseReason = "payment" // a card's number, expiry or cryptogram
	PauseHealth  PauseReason = "health"
	PausePrivate PauseReason = "private"
	PauseOther   PauseReason = "other"
)

// PauseReasons lists the reasons.
func PauseReasons() []PauseReason {
	return []PauseReason{PausePayment, PauseHealth, PausePrivate, PauseOther}
}

// PauseTerms are a class's rules for pauses. Pauses over the API, by the SRC's hold and by its metadata are always possible.
type PauseTerms struct {
	Key       string `json:"key,omitempty"`        // the telephone key that begins a pause; "" none
	ResumeKey string `json:"resume_key,omitempty"` // the one that ends it; "" none
	// CardDigits is how many digits, pressed one after the other with less than CardGap between, are taken for the beginning of a
	// card's number: from the last of them on nothing is recorded, for PausePayment. 0: never.
	CardDigits int `json:"card_digits"`
	// InBand has keys looked for in the sound itself too, where the SRC sends no events (RFC 4733). It costs a processor about what
	// the reception of the sound does.
	InBand bool `json:"in_band,omitempty"`
	// AtMost is how long a pause lasts that somebody has asked for and nobody ends: then it ends by itself, with a warning.
	AtMost Period `json:"at_most"`
	// After is how long a recording may last; then it is paused until its end. Zero: as long as the call.
	After Period `json:"after,omitzero"`
}

// CardGap is the time after which a digit begins another run.
const CardGap = 5 * time.Second

// Limits of PauseTerms. A card's number has 13 to 19 digits (ISO/IEC 7812-1); its first six name the issuer, and may be kept, so that
// the default leaves no more of it.
const (
	defaultCardDigits = 7
	minCardDigits     = 4
	maxCardDigits     = 19
)

var (
	defaultPause = Period{Time: 15 * time.Minute}
	maxPause     = Period{Time: 4 * time.Hour}
)

// readPause reads a class's rules for pauses.
func readPause(r *reader, n *yaml.Node, path string) PauseTerms {
	p := PauseTerms{CardDigits: defaultCardDigits}
	r.mapping(n, path, map[string]func(*yaml.Node, string){
		"keys": func(n *yaml.Node, path string) {
			r.mapping(n, path, map[string]func(*yaml.Node, string){
				"pause":  func(n *yaml.Node, path string) { p.Key = readDigit(r, n, path) },
				"resume": func(n *yaml.Node, path string) { p.ResumeKey = readDigit(r, n, path) },
			})
			if p.Key != "" && p.Key == p.ResumeKey {
				r.problem(n, path, "one key cannot both begin and end a pause")
			}
		},
		"card_digits": func(n *yaml.Node, path string) {
			s, ok := r.scalar(n, path, "a whole number", "!!int")
			digits, err := strconv.Atoi(s)
			if ok && (err != nil || digits != 0 && (digits < minCardDigits || digits > maxCardDigits)) {
				r.problem(n, path, "%s is not a number of digits from %d to %d, or 0 for never", s, minCardDigits, maxCardDigits)
			}
			p.CardDigits = digits
		},
		"in_band": func(n *yaml.Node, path string) { p.InBand = r.boolean(n, path) },
		"at_most": func(n *yaml.Node, path string) {
			p.AtMost = readRetention(r, n, path)
			if p.AtMost.everExceeds(maxPause) {
				r.problem(n, path, "%s is longer than %s: a recording that is paused so long has ended", p.AtMost, maxPause)
			}
		},
		"after": func(n *yaml.Node, path string) { p.After = readRetention(r, n, path) },
	})
	return p.complete()
}

// complete fills in what the class does not say.
func (p PauseTerms) complete() PauseTerms {
	if p.AtMost.IsZero() {
		p.AtMost = defaultPause
	}
	return p
}

// pauses judges whether keys mean one thing only, and can be heard.
func (j judge) pauses() {
	p, c := j.class.Pause, j.class.Consent
	for _, key := range []string{p.Key, p.ResumeKey} {
		if key != "" && (key == c.Object || key == c.Agree) {
			j.problem("pause", "the key %s answers about consent already", key)
		}
	}
	if p.InBand && p.ResumeKey != "" {
		j.warning("pause.in_band", "in a pause the sound is not looked at: the key %s ends one only where the SRC sends events (RFC 4733); have it ended over the API too", p.ResumeKey)
	}
}
