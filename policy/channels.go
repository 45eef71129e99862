package policy

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/greffier/greffier/siprec"
)

// OrderLabels gives the labels in the order of the recording's channels, as the class says. The labels are those of the
// streams in the order offered. Sides are not guessed: unless each stream has senders who are all internal or all external, the
// offered order stays. Streams of one side keep their order.
func (p *Policy) OrderLabels(c Class, m *siprec.Metadata, labels []siprec.Label) []siprec.Label {
	ordered := slices.Clone(labels)
	if c.Channels == ByLabel {
		slices.SortStableFunc(ordered, compareLabels)
		return ordered
	}
	if m == nil || p.insiders == nil {
		return ordered
	}
	rank := make(map[siprec.Label]int, len(labels)) // 0 comes first
	for _, l := range labels {
		internal, known := p.side(m.Senders(l))
		if !known {
			return ordered
		}
		if internal == (c.Channels != InternalFirst) {
			rank[l] = 1
		}
	}
	slices.SortStableFunc(ordered, func(a, b siprec.Label) int { return cmp.Compare(rank[a], rank[b]) })
	return ordered
}

// side tells on which side the senders of a stream are, and whether that is known.
func (p *Policy) side(senders []siprec.Participant) (internal, known bool) {
	for i, s := range senders {
		in := p.insiders.contain(s)
		if i > 0 && in != internal {
			return false, false
		}
		internal = in
	}
	return internal, len(senders) > 0
}

// compareLabels compares numbers by value, before other text, and other text by its bytes.
func compareLabels(a, b siprec.Label) int {
	x, errA := strconv.ParseUint(string(a), 10, 64)
	y, errB := strconv.ParseUint(string(b), 10, 64)
	switch {
	case errA == nil && errB == nil:
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	default:
		return cmp.Compare(a, b)
	}
}
