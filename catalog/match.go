package catalog

import "strings"

// MatchNumber tells whether a search for the wanted number, as Query.Number, finds a party of this number. One without digits finds
// nothing.
func MatchNumber(number, wanted string) bool {
	key, have := numberKey(wanted), numberKey(number)
	switch {
	case key == "" || have == "":
		return false
	case strings.HasPrefix(key, HashPrefix):
		return have == key
	case strings.HasPrefix(key, "+"):
		return strings.HasPrefix(have, key)
	default:
		return !strings.HasPrefix(have, HashPrefix) && strings.HasSuffix(have, key)
	}
}

// MatchCallID tells whether a search for the wanted identifier, as Query.CallID, finds a call that has this one.
func MatchCallID(id, wanted string) bool {
	bare, _, _ := strings.Cut(wanted, ";")
	return idKey(id) == idKey(wanted) || idKey(id) == idKey(bare)
}
