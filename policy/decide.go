package policy

import (
	"fmt"
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
	CampaignOver     Reason = "campaign_over"      // the rule's last day has passed
	CampaignNotBegun Reason = "campaign_not_begun" // the rule's first day has not come
)

// A Decision is what a policy says to a call.
type Decision struct {
	Record bool   `json:"record"`
	Class  string `json:"class,omitempty"` // also of a call that its rule does not record
	Rule   string `json:"rule,omitempty"`  // the rule that decided; for Internal, the first that would have
	Reason Reason `json:"reason"`
	Detail string `json:"detail,omitempty"` // for people: conditions that could not be evaluated, the cause of a Never
	Digest string `json:"digest"`           // of the policy
	Sample Sample `json:"sample"`           // the rule's share
	Draw   string `json:"draw,omitempty"`   // 16 hexadecimal digits, when the share was drawn for: an auditor with the key finds the same
}

// Decide says whether a call is recorded now. See the package's documentation for how.
func (p *Policy) Decide(f Facts, now time.Time) Decision {
	call := p.newCall(f, now)
	d := Decision{Reason: NoRule, Digest: p.digest}
	var doubts doubts
	for _, r := range p.rules {
		if call.internal && !r.Internal && !r.Never && d.Reason == Internal {
			continue // already known that this call would need internal: true
		}
		applies, err := r.applies(call)
		if err != nil {
			doubts.add(r, err)
		}
		if !applies {
			continue
		}
		if call.internal && !r.Internal && !r.Never {
			d.Reason, d.Rule, d.Class, d.Sample = Internal, r.Name, r.Class, r.Sample
			continue
		}
		d.Rule, d.Class, d.Sample = r.Name, r.Class, r.Sample
		p.conclude(&d, r, f, now)
		break
	}
	if d.Reason == Internal && call.alone {
		doubts.texts = append(doubts.texts, "only one participant is known")
	}
	d.Detail = doubts.join(d.Detail)
	return d
}

// applies evaluates the rule's condition. Where that fails, the answer is the one that records less.
func (r *rule) applies(c *call) (bool, error) {
	switch {
	case r.condition == nil:
		return true, nil
	case r.condition.fast != nil:
		return r.condition.fast(c, nil), nil
	}
	holds, err := r.condition.evaluate(c)
	if err != nil {
		return r.Never, err
	}
	return holds, nil
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
func (p *Policy) conclude(d *Decision, r *rule, f Facts, now time.Time) {
	switch {
	case !r.from.IsZero() && now.Before(r.from):
		d.Reason, d.Detail = CampaignNotBegun, "first day: "+r.From
	case !r.until.IsZero() && !now.Before(r.until):
		d.Reason, d.Detail = CampaignOver, "last day: "+r.Until
	case r.Never:
		d.Reason, d.Detail = Never, r.Cause
	case r.Sample >= All:
		d.Record, d.Reason = true, ByRule
	case r.Sample == 0:
		d.Reason = SampledOut
	default:
		p.draw(d, r, f)
	}
}

func (p *Policy) draw(d *Decision, r *rule, f Facts) {
	key := f.CallKey
	if key == "" && f.Metadata != nil {
		key = f.Metadata.CallKey("")
	}
	if key == "" { // the same draw for every such call would not be a sample
		d.Reason, d.Detail = SampledOut, "the call has no key to draw for"
		return
	}
	n := Draw(p.key, r.Class, key)
	d.Draw = fmt.Sprintf("%016x", n)
	d.Record, d.Reason = r.Sample.Takes(n), SampledOut
	if d.Record {
		d.Reason = SampledIn
	}
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
