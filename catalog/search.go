package catalog

import "strings"

// fold gives text as it is searched: without regard to case.
func fold(s string) string { return strings.ToLower(s) }

// searchText gives the text that a search for a party looks at.
func searchText(p Participant) string { return fold(p.AOR + "\n" + p.Name) }

// numberKey gives a telephone number as it is searched. International numbers keep a +, written 00 or not; of others the
// leading zeros go, which dialling plans add. A hash stays as it is. Without any digit it is "".
func numberKey(s string) string {
	if strings.HasPrefix(s, HashPrefix) {
		return s
	}
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
	if strings.HasPrefix(strings.TrimSpace(s), "+") && digits != "" {
		return "+" + digits
	}
	if international, ok := strings.CutPrefix(digits, "00"); ok && international != "" && international[0] != '0' {
		return "+" + international // no country's code begins with 0
	}
	if short := strings.TrimLeft(digits, "0"); short != "" {
		return short
	}
	return digits // zeros only, or nothing
}

// notHashed keeps searches for text from finding the digits and letters of hashes.
const notHashed = " NOT LIKE '" + HashPrefix + "%'"

// partyCondition gives the condition on a row of participants, p, that a query for s puts, and its argument.
func partyCondition(s string) (string, string) {
	if strings.HasPrefix(s, HashPrefix) {
		return "p.search = ?", searchText(Participant{AOR: s})
	}
	return "p.search" + notHashed + " AND p.search LIKE ? ESCAPE '!'", "%" + escape(fold(s)) + "%"
}

// numberCondition is partyCondition for numbers.
func numberCondition(s string) (string, string) {
	switch key := numberKey(s); {
	case strings.HasPrefix(key, HashPrefix):
		return "p.number = ?", key
	case strings.HasPrefix(key, "+"):
		return "p.number LIKE ?", key + "%"
	default:
		return "p.number" + notHashed + " AND p.number LIKE ?", "%" + key
	}
}

// escape makes text literal in a LIKE pattern with ESCAPE '!'.
func escape(s string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s)
}
