package catalog

import "strings"

// fold gives text as it is searched: without regard to case.
func fold(s string) string { return strings.ToLower(s) }

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
	if international, ok := strings.CutPrefix(digits, "00"); ok && strings.Trim(international, "0") != "" {
		return "+" + international
	}
	if short := strings.TrimLeft(digits, "0"); short != "" {
		return short
	}
	return digits // zeros only, or nothing
}

// numberPattern gives the LIKE pattern for the numbers that a query for s finds.
func numberPattern(s string) string {
	key := numberKey(s)
	switch {
	case strings.HasPrefix(key, HashPrefix):
		return escape(key)
	case strings.HasPrefix(key, "+"):
		return key + "%"
	default:
		return "%" + key
	}
}

// escape makes text literal in a LIKE pattern with ESCAPE '!'.
func escape(s string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s)
}
