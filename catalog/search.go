package catalog

import (
	"fmt"
	"strings"
)

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

// shortestHex is from how many digits on an identifier is taken for a hexadecimal number.
const shortestHex = 16

// idKey gives an identifier of a call as it is searched: one of hexadecimal digits without regard to case and to hyphens between them,
// others, Call-IDs above all, as they are.
func idKey(s string) string {
	digits := strings.ReplaceAll(s, "-", "")
	if len(digits) < shortestHex || strings.Trim(digits, "0123456789abcdefABCDEF") != "" {
		return s
	}
	return strings.ToLower(digits)
}

// maxConversation bounds the recordings of one conversation: identifiers that an SRC uses again for every call must not make a search
// of everything.
const maxConversation = 1000

// maxCommon bounds the links that are followed: a recording has some.
const maxCommon = 8 * maxConversation

// conversation is the condition for every recording that shares a link with the one that is named, by its id or by its
// conversation, or with one that does, and so on. It takes the name three times. It goes from link to link: from recording to recording it
// would take the square of the time where many share one.
func (d *dialect) conversation() string {
	inside, outside := "", fmt.Sprintf(" LIMIT %d", maxCommon)
	if d.endsInside {
		inside, outside = outside, ""
	}
	return fmt.Sprintf(`id IN (WITH RECURSIVE common (link) AS (
	SELECT l.link FROM links l WHERE l.recording_id = ? UNION SELECT ?
	UNION SELECT theirs.link FROM common JOIN links ours ON ours.link = common.link JOIN links theirs ON theirs.recording_id = ours.recording_id%s)
	SELECT ? UNION SELECT l.recording_id FROM (SELECT link FROM common%s) near JOIN links l ON l.link = near.link LIMIT %d)`, inside, outside, maxConversation)
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
