package policy

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

var basisLetters = map[string]LegalBasis{
	"a": Consent, "b": Contract, "c": LegalObligation, "d": VitalInterests, "e": PublicTask, "f": LegitimateInterests,
}

// readClass reads one class. It never gives nil, so that rules can refer to a class with problems.
func readClass(r *reader, key, value *yaml.Node, parent string) *Class {
	c := &Class{
		Name: key.Value, Lock: Governance, Format: WAV, Channels: ExternalFirst, KeepMetadata: sorted(DefaultKeepMetadata()),
		Pause: PauseTerms{CardDigits: defaultCardDigits}.complete(),
	}
	path := join(parent, c.Name)
	if !className.MatchString(c.Name) {
		r.problem(key, path, "a class's name is part of storage keys: up to 63 of a-z, 0-9, - and _, not beginning with - or _")
	}
	nodes := make(map[string]*yaml.Node)
	field := func(read func(*yaml.Node, string)) func(*yaml.Node, string) {
		return func(n *yaml.Node, path string) {
			nodes[path[strings.LastIndexByte(path, '.')+1:]] = n
			read(n, path)
		}
	}
	before := len(r.problems)
	seen := r.mapping(value, path, map[string]func(*yaml.Node, string){
		"purpose":       field(func(n *yaml.Node, path string) { c.Purpose = r.text(n, path) }),
		"legal_basis":   field(func(n *yaml.Node, path string) { c.LegalBasis = readBasis(r, n, path) }),
		"balance_test":  field(func(n *yaml.Node, path string) { c.BalanceTest = r.reference(n, path) }),
		"mandate":       field(func(n *yaml.Node, path string) { c.Mandate = r.reference(n, path) }),
		"retention":     field(func(n *yaml.Node, path string) { c.Retention = readRetention(r, n, path) }),
		"quarantine":    field(func(n *yaml.Node, path string) { c.Quarantine = readPeriod(r, n, path) }),
		"lock":          field(func(n *yaml.Node, path string) { c.Lock = choice(r, n, path, Governance, Compliance, NoLock) }),
		"sample":        field(func(n *yaml.Node, path string) { c.Sample = readSample(r, n, path) }),
		"format":        field(func(n *yaml.Node, path string) { c.Format = choice(r, n, path, Formats()...) }),
		"keep_metadata": field(func(n *yaml.Node, path string) { c.KeepMetadata = readFields(r, n, path) }),
		"channels": field(func(n *yaml.Node, path string) {
			c.Channels = choice(r, n, path, ExternalFirst, InternalFirst, ByLabel)
		}),
		"kind":               field(func(n *yaml.Node, path string) { c.Kind = choice(r, n, path, Kinds()...) }),
		"start":              field(func(n *yaml.Node, path string) { c.Start = choice(r, n, path, AtOnce, AfterNotice, OnMark) }),
		"consent":            field(func(n *yaml.Node, path string) { c.Consent = readConsent(r, n, path) }),
		"sample_scope":       field(func(n *yaml.Node, path string) { c.SampleScope = choice(r, n, path, Scopes()...) }),
		"quota":              field(func(n *yaml.Node, path string) { c.Quota = readQuota(r, n, path) }),
		"campaign":           field(func(n *yaml.Node, path string) { c.Campaign = readCampaign(r, n, path) }),
		"wait":               field(func(n *yaml.Node, path string) { c.Wait = readWait(r, n, path) }),
		"analysis_retention": field(func(n *yaml.Node, path string) { c.AnalysisRetention = readRetention(r, n, path) }),
		"proof_within":       field(func(n *yaml.Node, path string) { c.ProofWithin = readRetention(r, n, path) }),
		"missing_alarm":      field(func(n *yaml.Node, path string) { c.MissingAlarm = readRetention(r, n, path) }),
		"acknowledgement":    field(func(n *yaml.Node, path string) { c.Acknowledgement = r.text(n, path) }),
		"works_council":      field(func(n *yaml.Node, path string) { c.WorksCouncil = readCouncil(r, n, path) }),
		"pause":              field(func(n *yaml.Node, path string) { c.Pause = readPause(r, n, path) }),
		"dpo":                field(func(n *yaml.Node, path string) { c.DPO = r.reference(n, path) }),
	})
	if seen == nil {
		return c
	}
	for _, required := range []string{"purpose", "legal_basis", "retention", "sample"} {
		if !seen[required] {
			r.problem(key, join(path, required), "%s", missing[required])
		}
	}
	if len(r.problems) == before { // what does not even read is not judged
		j := judge{r: r, key: key, nodes: nodes, path: path, class: c}
		j.judge()
	}
	return c
}

var missing = map[string]string{
	"purpose":     "is missing: say what the recordings are for",
	"legal_basis": "is missing: name the legal basis, one of the words of Art. 6(1) GDPR",
	"retention":   "is missing: there is no class without an end; write a period such as P6M",
	"sample":      "is missing: say which share of the calls is recorded, such as 2%",
}

func readBasis(r *reader, n *yaml.Node, path string) LegalBasis {
	if b, ok := basisLetters[strings.ToLower(n.Value)]; ok && n.Kind == yaml.ScalarNode && r.plain(n, path) {
		return b
	}
	return choice(r, n, path, Consent, Contract, LegalObligation, VitalInterests, PublicTask, LegitimateInterests)
}

// readPeriod reads a period that may have no length.
func readPeriod(r *reader, n *yaml.Node, path string) Period {
	s, ok := r.scalar(n, path, "a period such as P6M", "!!str")
	if !ok {
		return Period{}
	}
	p, err := ParsePeriod(s)
	if err != nil {
		r.problem(n, path, "%v", err)
	}
	return p
}

func readRetention(r *reader, n *yaml.Node, path string) Period {
	before := len(r.problems)
	p := readPeriod(r, n, path)
	if p.IsZero() && len(r.problems) == before {
		r.problem(n, path, "%s keeps nothing: write a period such as P6M", n.Value)
	}
	return p
}

func readSample(r *reader, n *yaml.Node, path string) Sample {
	s, ok := r.scalar(n, path, "a percentage such as 10% or a fraction such as 0.1", "!!str", "!!float", "!!int")
	if !ok {
		return 0
	}
	v, err := ParseSample(s)
	if err != nil {
		r.problem(n, path, "%v", err)
	}
	return v
}

func readFields(r *reader, n *yaml.Node, path string) []Field {
	fields := []Field{}
	r.list(n, path, maxList, func(item *yaml.Node, path string) {
		f := choice(r, item, path, DefaultKeepMetadata()...)
		if f != "" && slices.Contains(fields, f) {
			r.problem(item, path, "%s is given twice", f)
		} else if f != "" {
			fields = append(fields, f)
		}
	})
	return sorted(fields)
}

func sorted(fields []Field) []Field {
	slices.Sort(fields)
	return fields
}
