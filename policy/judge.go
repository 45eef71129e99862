package policy

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A judge applies the rules that concern several fields of a class: what the law forbids is a problem, what a data protection
// officer would ask about is a warning. It also fills in what the class does not say.
type judge struct {
	r     *reader
	key   *yaml.Node
	nodes map[string]*yaml.Node
	path  string
	class *Class
}

// requests are words of purposes that are none: recordings are not kept for the case that somebody asks for them (R48).
var requests = []string{"requisition", "réquisition", "court request", "court order", "judicial request", "police request", "law enforcement",
	"demande judiciaire", "demandes judiciaires"}

// trainings are words of purposes that belong to a class of its own kind (R45).
var trainings = []string{"training", "coaching", "formation"}

// muchSampled is the share from which recording is close to systematic.
const muchSampled = All / 2

// longCampaign is how long a training may last before a warning: the guidance says a short period.
var longCampaign = Period{Months: 6}

func (j judge) problem(field, format string, args ...any) {
	j.r.problem(orMissing(j.nodes, field, j.key), join(j.path, field), format, args...)
}

func (j judge) warning(field, format string, args ...any) {
	j.r.warning(orMissing(j.nodes, field, j.key), join(j.path, field), format, args...)
}

func (j judge) judge() {
	j.basis()
	if j.class.Mandate == "" {
		j.withoutMandate()
	}
	j.kind()
	j.class.Consent = j.class.Consent.complete(j.class)
	j.consent()
	j.pauses()
	j.periods()
	j.council()
}

// basis judges what the class is for (R21, R48).
func (j judge) basis() {
	c := j.class
	if c.LegalBasis == LegitimateInterests && c.BalanceTest == "" {
		j.problem("balance_test", "is missing: legitimate_interests needs the reference of a balance test")
	}
	for field, text := range map[string]string{"purpose": c.Purpose, "balance_test": c.BalanceTest} {
		if word, found := anyOf(text, requests); found && c.Mandate == "" {
			j.problem(field, "possible requests of others (%q) are no purpose: say what you need the recordings for", word)
		}
	}
}

// withoutMandate judges what only a text that obliges allows (R04, R13, R16).
func (j judge) withoutMandate() {
	c := j.class
	if c.Sample >= All && c.Kind != Evidence { // evidence begins on a mark, never with the call
		j.problem("sample", "recording every call needs a mandate: name the text that obliges to, or record a share")
	} else if c.Sample >= muchSampled && c.Kind != Evidence {
		j.warning("sample", "%s is close to recording every call, which is forbidden without a mandate", c.Sample)
	}
	if c.Retention.everExceeds(maxRetention) {
		j.problem("retention", "%s is longer than %s, which needs a mandate: name the text that obliges to", c.Retention, maxRetention)
	}
	if c.AnalysisRetention.everExceeds(maxRetention) {
		j.problem("analysis_retention", "%s is longer than %s, which needs a mandate: name the text that obliges to", c.AnalysisRetention, maxRetention)
	}
	if c.Lock == Compliance {
		j.problem("lock", "COMPLIANCE cannot be undone and needs a mandate: name the text that obliges to, or use GOVERNANCE")
	}
}

// kind judges what the law says of particular kinds (R06, R36, R45, R46).
func (j judge) kind() {
	c := j.class
	switch c.Kind {
	case Training:
		if c.Campaign.Until == "" {
			j.problem("campaign", "is missing: training is recorded for a short time, so give the campaign's last day, until")
		}
		if c.Sample >= All && c.Mandate != "" {
			j.problem("sample", "no text obliges to record every call for training: record a share")
		}
		if from, err := time.Parse(time.DateOnly, c.Campaign.From); err == nil {
			until, err := time.Parse(time.DateOnly, c.Campaign.Until)
			if err == nil && until.After(longCampaign.After(from)) {
				j.warning("campaign", "lasts longer than %s: training is recorded for a short time", longCampaign)
			}
		}
	case Evidence:
		if c.Start == "" {
			c.Start = OnMark
		} else if c.Start != OnMark {
			j.problem("start", "evidence of a contract begins on a mark, not with the call: write on_mark, or leave it out")
		}
	case Emergency:
		if c.Sample < All {
			j.problem("sample", "a class for emergency calls records every one: write 100%%, and the mandate")
		}
		if c.MissingAlarm.IsZero() {
			c.MissingAlarm = Period{Time: 5 * time.Minute}
		}
	default:
		if word, found := anyOf(c.Purpose, trainings); found && c.Mandate == "" {
			j.warning("purpose", "speaks of %s: say kind: training, whose campaign has an end", word)
		}
	}
	if c.Kind != Evidence && !c.ProofWithin.IsZero() {
		j.problem("proof_within", "means something of kind: evidence only")
	}
	if c.Quota.Calls > 0 && c.Sample >= All {
		j.problem("quota", "cannot be kept by a class that records every call")
	}
}

// consent judges what the class asks of the parties (R17, R23, R28).
func (j judge) consent() {
	c, m := j.class.Consent, j.class.Mandate
	problem := func(format string, args ...any) { j.problem("consent", format, args...) }
	if c.Mode == NoneMandated && m == "" {
		problem("none_mandated needs a mandate: name the text that obliges to")
	}
	if c.Objection == Refused && m == "" && c.Mode != NoneMandated {
		problem("an objection can be refused by a mandate only: name the text that obliges to, or write stop or destroy")
	}
	if c.Objection == Refused && m != "" && c.Mode != NoneMandated {
		problem("%s lets nobody refuse an objection: that is mode none_mandated", c.Mode)
	}
	if j.class.LegalBasis == Consent && !c.Mode.OptsIn() {
		problem("%s is no consent, on which the class stands: write opt_in_any or opt_in_all", c.Mode)
	}
	if c.Mode.OptsIn() && c.Unknown == MeanwhileRecord {
		problem("%s keeps nothing before somebody consents: write unknown: hold or none", c.Mode)
	}
	if c.Mode == NoneMandated && (c.Unknown != MeanwhileRecord || !c.Within.IsZero()) {
		problem("none_mandated waits for nobody: leave out unknown and within")
	}
	if c.Unknown == MeanwhileHold && c.Within.everExceeds(maxHold) {
		problem("%s is longer than %s: what is held is in memory only", c.Within, maxHold)
	}
	if c.Unknown == MeanwhileNone && !c.Within.IsZero() {
		problem("within means nothing where nothing is kept meanwhile")
	}
	if j.class.Start == AfterNotice && c.Unknown != MeanwhileNone {
		problem("start: after_notice keeps nothing before the notice: write unknown: none, or leave it out")
	}
	if j.class.Start == AfterNotice && c.Mode == NoneMandated {
		problem("start: after_notice needs a mode that knows of notice: write mode: notice")
	}
}

// periods sets the quarantine when it is not given, and compares it with what needs it.
func (j judge) periods() {
	c := j.class
	quota := c.Quota.length()
	if j.nodes["quarantine"] == nil && !c.ProofWithin.IsZero() {
		c.Quarantine = c.ProofWithin
	} else if j.nodes["quarantine"] == nil && !quota.IsZero() {
		c.Quarantine = quota
	} else if j.nodes["quarantine"] == nil && c.Mandate == "" && c.Retention.everExceeds(defaultQuarantine) {
		c.Quarantine = defaultQuarantine
	}
	if c.Quarantine.everExceeds(c.Retention) || c.Quarantine == c.Retention {
		j.problem("quarantine", "%s is not shorter than the retention, %s: nothing would be left to lock", c.Quarantine, c.Retention)
	}
	if quota.everExceeds(c.Quarantine) {
		j.problem("quarantine", "%s is shorter than the quota's time, %s: a recording that loses its place could not be deleted", c.Quarantine, quota)
	}
	if c.ProofWithin.everExceeds(c.Quarantine) {
		j.problem("quarantine", "%s is shorter than proof_within, %s: what another proof makes needless could not be deleted", c.Quarantine, c.ProofWithin)
	}
}

// council warns where nobody was consulted (R32).
func (j judge) council() {
	if j.class.WorksCouncil == (Council{}) {
		j.warning("works_council", "is missing: give the date and reference of its consultation, or none with the reason")
	}
	if strings.HasPrefix(strings.ToLower(j.class.BalanceTest), "to be done") {
		j.warning("balance_test", "is still to be done")
	}
}
