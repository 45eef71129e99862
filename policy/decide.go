package policy

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"

	"github.com/greffier/greffier/siprec"
)

// Facts are what is known of a call when it is decided about.
type Facts struct {
	SRC      string            // name of the SRC profile
	Metadata *siprec.Metadata  // nil when there is none
	CallKey  string            // what sampling identifies the call by; empty: the metadata's
	Headers  map[string]string // header fields that the SRC profile keeps, by canonical name
	Labels   []siprec.Label    // of the audio streams offered; nil: those of the metadata

	Tenant    string     // whose call it is, where the SRC profile says so
	Trunk     string     // by which trunk it came, where the SRC profile says so
	Directory *Directory // may be nil
	Objectors *Objectors // the standing list of those who do not want to be recorded; may be nil
	Began     time.Time  // the call's beginning; zero: now
}

// A Reason says why a call is recorded, or why not.
type Reason string

// The reasons. Only the first two record.
const (
	ByRule           Reason = "rule"               // the rule records all of its calls
	SampledIn        Reason = "sampled_in"         // the draw fell into the rule's sample
	SampledOut       Reason = "sampled_out"        // the draw did not
	Internal         Reason = "internal"           // all participants are internal, and no rule says that it may be
	NoRule           Reason = "no_rule"            // no rule applies
	Never            Reason = "never"              // a rule says record: false
	CampaignOver     Reason = "campaign_over"      // the last day has passed
	CampaignNotBegun Reason = "campaign_not_begun" // the first day has not come
	Protected        Reason = "protected"          // somebody is there whom the directory protects; no rule was asked
	Objected         Reason = "objected"           // somebody is there who does not want to be recorded
	NotAcknowledged  Reason = "not_acknowledged"   // an internal participant has not acknowledged the class's notice
	Waiting          Reason = "waiting"            // facts that a rule needs may still come: ask again when they do, or at WaitUntil
	FactsMissing     Reason = "facts_missing"      // they did not come in time
	QuotaOver        Reason = "quota_over"         // enough is recorded of the agent; see Decision.Refuse
)

// A Decision is what a policy says to a call.
type Decision struct {
	Record    bool        `json:"record"`
	Class     string      `json:"class,omitempty"` // also of a call that its rule does not record
	Rule      string      `json:"rule,omitempty"`  // the rule that decided; for Internal, the first that would have
	Reason    Reason      `json:"reason"`
	Detail    string      `json:"detail,omitempty"`       // for people: conditions that could not be evaluated, the cause of a Never, why a standing objection does not apply
	Digest    string      `json:"digest"`                 // of the policy
	Directory string      `json:"directory,omitempty"`    // its digest
	Sample    Sample      `json:"sample"`                 // the rule's share
	Scope     Scope       `json:"sample_scope,omitempty"` // what was drawn for
	Draw      string      `json:"draw,omitempty"`         // 16 hexadecimal digits, when the share was drawn for: an auditor with the key finds the same
	Threshold string      `json:"threshold,omitempty"`    // likewise: a draw below it is in the sample
	Consent   ConsentMode `json:"consent,omitempty"`      // of a call to be recorded: what it still needs; see ConsentTerms.Under
	Claim     Claim       `json:"claim,omitzero"`         // of a call to be recorded: the quota that it counts in
	WaitUntil time.Time   `json:"wait_until,omitzero"`    // of Waiting
}

// Decide says whether a call is recorded. See the package's documentation for how.
func (p *Policy) Decide(f Facts, now time.Time) Decision { return p.decide(f, now, nil, nil) }

// Reconsider says whether a call is still recorded, and under which class, after its facts have changed. The draw is not made
// again while the class stays, and the time that counts is that of f.Began. A decision that names another class than before means
// that the call has left the scope of its class: what was recorded ends there.
func (p *Policy) Reconsider(before Decision, f Facts, now time.Time) Decision {
	return p.decide(f, now, &before, nil)
}

func (p *Policy) decide(f Facts, now time.Time, before *Decision, t *trace) Decision {
	if f.Began.IsZero() {
		f.Began = now
	}
	call := p.newCall(f, f.Began)
	t.facts(call)
	d := Decision{Reason: NoRule, Digest: p.digest, Directory: f.Directory.Digest()}
	if call.protected() {
		d.Reason = Protected
		return d
	}
	var doubts doubts
	for _, r := range p.rules {
		if p.lacksFacts(&d, r, call, now, t) {
			if d.Reason == Waiting || d.Reason == FactsMissing {
				break
			}
			continue
		}
		notInternal := call.internal && !r.Internal && !r.Never
		if notInternal && d.Reason == Internal { // already known that this call would need internal: true
			t.also(r, call)
			continue
		}
		applies, err := r.applies(call)
		t.step(r, applies, notInternal, err)
		if err != nil {
			doubts.add(r, err)
		}
		if !applies {
			continue
		}
		if notInternal {
			d.Reason, d.Rule, d.Class, d.Sample = Internal, r.Name, r.Class, r.Sample
			continue
		}
		d.Rule, d.Class, d.Sample = r.Name, r.Class, r.Sample
		p.conclude(&d, r, call, before)
		break
	}
	if d.Reason == Internal && call.alone {
		doubts.texts = append(doubts.texts, "only one participant is known")
	}
	d.Detail = doubts.join(d.Detail)
	return d
}

// lacksFacts tells whether the rule cannot be asked because facts that it needs are not there. The decision then says what that
// means, unless the rule is just passed over.
func (p *Policy) lacksFacts(d *Decision, r *rule, c *call, now time.Time, t *trace) bool {
	if r.needs == nil {
		return false
	}
	if there, err := r.needs.holds(c); there && err == nil {
		return false
	}
	wait := p.waitOf(r)
	until := wait.AtMost.After(c.facts.Began)
	switch {
	case now.Before(until):
		d.Rule, d.Class, d.Sample, d.Reason, d.WaitUntil = r.Name, r.Class, r.Sample, Waiting, until
	case wait.Then == ThenRecord:
		return false
	case wait.Then == ThenSkip:
	default:
		d.Rule, d.Class, d.Sample, d.Reason = r.Name, r.Class, r.Sample, FactsMissing
	}
	t.lacks(r, d.Reason)
	return true
}

func (p *Policy) waitOf(r *rule) Wait {
	w := Wait{Then: ThenNot}
	if c := p.classes[r.Class]; c != nil && c.Wait != (Wait{}) {
		w = c.Wait
	}
	if w.AtMost.IsZero() {
		w.AtMost = Period{Time: DefaultWait}
	}
	return w
}

// applies evaluates the rule's condition. Where that fails, the answer is the one that records less.
func (r *rule) applies(c *call) (bool, error) {
	if r.condition == nil {
		return true, nil
	}
	holds, err := r.condition.holds(c)
	if err != nil {
		return r.Never, err
	}
	return holds, nil
}

func (c *condition) holds(call *call) (bool, error) {
	if c.fast != nil {
		return c.fast(call, nil), nil
	}
	return c.evaluate(call)
}

// evaluate runs the condition in CEL's interpreter, which turns its own panics into errors.
func (c *condition) evaluate(call *call) (bool, error) {
	v, _, err := c.program.Eval(call)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, fmt.Errorf("the condition gave %v", v)
	}
	return bool(b), nil
}

// conclude decides by the rule that applies.
func (p *Policy) conclude(d *Decision, r *rule, c *call, before *Decision) {
	at := c.facts.Began
	switch {
	case !r.from.IsZero() && at.Before(r.from):
		d.Reason, d.Detail = CampaignNotBegun, "first day: "+r.From
		return
	case !r.until.IsZero() && !at.Before(r.until):
		d.Reason, d.Detail = CampaignOver, "last day: "+r.Until
		return
	case r.Never:
		d.Reason, d.Detail = Never, r.Cause
		return
	}
	class := p.classes[r.Class]
	terms := class.Consent.Under(r.Consent)
	switch {
	case terms.Objection != Refused && c.objected():
		d.Reason = Objected
		return
	case !c.acknowledged(class.Acknowledgement):
		d.Reason, d.Detail = NotAcknowledged, "notice: "+class.Acknowledgement
		return
	case r.Sample >= All:
		d.Record, d.Reason = true, ByRule
	case r.Sample == 0:
		d.Reason = SampledOut
	default:
		p.draw(d, class, c, before)
	}
	if d.Record && class.Quota.Calls > 0 {
		p.claim(d, class, c, before)
	}
	if d.Record {
		d.Consent = terms.Mode
		if c.objected() { // in vain
			d.Detail = NotApplicable + class.Mandate
		}
	}
}

func (p *Policy) draw(d *Decision, class *Class, c *call, before *Decision) {
	d.Reason, d.Scope = SampledOut, class.SampleScope
	n, drawn := before.drawn(class)
	if !drawn {
		key, missing := c.drawKey(class.SampleScope)
		if missing != "" { // the same draw for every such call would not be a sample
			d.Detail = missing
			return
		}
		n = Draw(p.key, class.Name, key)
	}
	d.Draw, d.Threshold = hex64(n), hex64(d.Sample.Threshold())
	d.Record = d.Sample.Takes(n)
	if d.Record {
		d.Reason = SampledIn
	}
}

// drawn gives the draw of an earlier decision about the same class, if there was one.
func (d *Decision) drawn(class *Class) (uint64, bool) {
	if d == nil || d.Class != class.Name || d.Draw == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(d.Draw, 16, 64)
	return n, err == nil
}

func hex64(n uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return hex.EncodeToString(b[:])
}

// maxDoubts is how many failed conditions a decision's detail names.
const maxDoubts = 3

// doubts are conditions that could not be evaluated.
type doubts struct {
	texts []string
	more  int
}

func (d *doubts) add(r *rule, err error) {
	if len(d.texts) >= maxDoubts {
		d.more++
		return
	}
	taken := "taken as not applying"
	if r.Never {
		taken = "taken as applying"
	}
	d.texts = append(d.texts, fmt.Sprintf("rule %s could not be evaluated: %s", r.Name, taken)) // err may quote a party
}

func (d *doubts) join(detail string) string {
	if len(d.texts) == 0 {
		return detail
	}
	texts := d.texts
	if detail != "" {
		texts = append([]string{detail}, texts...)
	}
	if d.more > 0 {
		texts = append(texts, fmt.Sprintf("%d more", d.more))
	}
	return strings.Join(texts, "; ")
}
