package recorder

import (
	"slices"

	"github.com/greffier/greffier/siprec"
)

// A Profile is what the recorder knows of an SRC beside its calls.
type Profile struct {
	// Tenant is whose calls these are, or "".
	Tenant string
	// Trunk is by which trunk they come, or "".
	Trunk string
	// ExternalIDs names the kept header fields that hold identifiers of the call, beside those of known names.
	ExternalIDs []string
	// Demands are what its media must be like.
	Demands siprec.Demands
}

// offer gives an SRC's offer as far as its profile lets it be answered.
func (r *Recorder) offer(src string, o *siprec.Offer) *siprec.Offer {
	return r.cfg.Profiles[src].Demands.Of(o)
}

// A lineEntry says what one m-line of an offer was, recorded or not.
type lineEntry struct {
	Label   siprec.Label `json:"label,omitempty"` // as offered
	Content []string     `json:"content,omitempty"`
	Refused bool         `json:"refused,omitempty"` // offered with port 0
}

// lines describes an offer for the journal.
func lines(o *siprec.Offer) []lineEntry {
	out := make([]lineEntry, len(o.Media))
	for i, m := range o.Media {
		out[i] = lineEntry{Label: m.Label, Content: m.Content, Refused: m.Port == 0}
	}
	return out
}

// about completes the first journal entry of a call with what the invitation, the offer that holds and the SRC's profile say.
func (r *Recorder) about(in siprec.Invitation, o *siprec.Offer, first *journalEntry) {
	p := r.cfg.Profiles[in.SRC]
	first.Lines = lines(o)
	first.Begin.Tenant = p.Tenant
	first.Begin.ExternalIDs = siprec.HeaderIDs(in.Headers, p.ExternalIDs)
}

// offer is the offer that the entry tells of, as far as package siprec compares it with metadata; nil when it tells of none.
func (e *journalEntry) offer() *siprec.Offer {
	if len(e.Lines) == 0 {
		return nil
	}
	o := &siprec.Offer{}
	for _, l := range e.Lines {
		m := siprec.Media{Label: l.Label, Port: discardPort}
		if l.Refused {
			m.Port = 0
		}
		o.Media = append(o.Media, m)
	}
	return o
}

// metadataWarning is what an Observation of a warning is called. It is no event of the audit log: the sidecar has it.
const metadataWarning = "metadata.warning"

// warned counts what is out of order in an invitation, by the names that package siprec lists and no others: they are labels of a metric.
func (r *Recorder) warned(in siprec.Invitation, meta *siprec.Metadata) {
	found := siprec.Mismatches(meta, in.Offer)
	for _, w := range meta.Warnings {
		if !slices.Contains(siprec.Warnings(), w) { // it says in words why a document could not be read
			w = siprec.WarnUnreadable
		}
		if !slices.Contains(found, w) {
			found = append(found, w)
		}
	}
	for _, w := range found {
		r.cfg.Observe(Observation{Event: metadataWarning, SRC: in.SRC, Warning: w})
	}
}
