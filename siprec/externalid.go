package siprec

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// HeaderIDs lists the identifiers of the call in kept header fields, each once. The fields are those of known names (Session-ID,
// Cisco-Guid, User-to-User ...) and those that named lists, in any case.
//
// What other systems know by another form comes in each of them:
//
//   - Cisco-Guid, four decimal words: also as 32 hexadecimal digits;
//   - an Avaya UCID, in User-to-User data (application FA), as 20 decimal digits, or as 16 hexadecimal ones: in all three;
//   - User-to-User data (RFC 7433) of printable text: also as that text;
//   - Session-ID (RFC 7989 section 5): the halves of the pair apart, the nil one left out.
func HeaderIDs(headers map[string]string, named []string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		listed := slices.ContainsFunc(named, func(n string) bool { return strings.EqualFold(n, name) })
		if folded := fold(name); listed || isCallID(folded) {
			out = addNew(out, idForms(folded, headers[name])...)
		}
	}
	return out[:min(len(out), MaxHeaderIDs)]
}

// isCallID tells whether the folded name of an extension or header field is that of a call identifier in a known dialect.
func isCallID(name string) bool {
	switch name {
	case "ucid", "guid", "gucid", "ciscoguid", "ciscogucid", "exttrackingid", "callid", "gcid", "sessionid", "usertouser",
		"xacmecallid", "xbroadworkscorrelationinfo", "calluuid", "connid", "xferredsessionid", "xferredgroupid",
		"xucid", "xavayaucid", "xgenesyscalluuid", "xgenesysconnid":
		return true
	}
	return false
}

// idForms gives the forms of the identifiers in a value, the one that came first, each once. name is that of the field, folded.
func idForms(name, value string) []string {
	var out []string
	add := func(ids ...string) {
		for _, id := range ids {
			if id = strings.TrimSpace(id); id != "" && len(out) < MaxHeaderIDs {
				out = addNew(out, id[:min(len(id), MaxIDBytes)])
			}
		}
	}
	if name == "usertouser" { // several values may stand in one field (RFC 7433 section 4.1)
		for rest := value; rest != ""; {
			value, rest = cutUnquoted(rest, ',')
			add(userToUser(value)...)
		}
		return out
	}
	switch lower := strings.ToLower(value); {
	case strings.Contains(lower, ";encoding="):
		add(userToUser(value)...)
		return out
	case strings.Contains(lower, ";remote="), name == "sessionid":
		add(SessionIDHalves(value)...)
		return out
	}
	value = strings.TrimSpace(value)
	add(value)
	if digits, ok := guidOfWords(value); ok {
		add(digits)
	}
	if raw, err := hex.DecodeString(value); err == nil {
		u, ok := ucidOfUserData(raw)
		if !ok && len(raw) == ucidBytes && isUCID(name) {
			u, ok = ucid(raw), true
		}
		if ok {
			add(u.hex(), u.decimal())
		}
	}
	if u, ok := ucidOfDecimal(value); ok && isUCID(name) {
		add(u.hex())
	}
	return out
}

// isUCID tells that a field of the folded name holds nothing but a UCID.
func isUCID(name string) bool {
	return strings.HasSuffix(name, "ucid") && !strings.HasSuffix(name, "gucid")
}

// userToUser reads one value of User-to-User: data in hexadecimal digits, then ";encoding=hex" and other parameters.
func userToUser(value string) []string {
	data, _ := cutUnquoted(value, ';')
	data = unquote(strings.TrimSpace(data))
	out := []string{data}
	raw, err := hex.DecodeString(data)
	if err != nil {
		return out
	}
	if u, ok := ucidOfUserData(raw); ok {
		return append(out, u.hex(), u.decimal())
	}
	if len(raw) > 0 && (raw[0] == userSpecific || raw[0] == ia5) {
		raw = raw[1:]
	}
	const shortest = 4 // fewer bytes are printable by chance
	if text := string(raw); len(text) >= shortest && isPrintable(text) && strings.IndexFunc(text, func(c rune) bool { return c > '~' }) < 0 {
		out = append(out, text)
	}
	return out
}

// Protocol discriminators, the first byte of user-to-user data (ITU-T Q.931 section 4.5.30).
const (
	userSpecific = 0x00
	ia5          = 0x04 // characters
)

// A ucid is Avaya's universal call identifier: the node's number and a sequence number of two bytes each, and the time in seconds.
type ucid []byte

const (
	ucidBytes = 8
	// ucidApplication marks a UCID among the pieces of Avaya's user-to-user data, each of which is its application, its length, and
	// as many bytes.
	ucidApplication = 0xfa
)

func ucidOfUserData(raw []byte) (ucid, bool) {
	if len(raw) == 0 || raw[0] != userSpecific && raw[0] != ia5 {
		return nil, false
	}
	for raw = raw[1:]; len(raw) >= 2; {
		application, length := raw[0], int(raw[1])
		if len(raw) < 2+length {
			return nil, false
		}
		if application == ucidApplication && length == ucidBytes {
			return ucid(raw[2 : 2+length]), true
		}
		raw = raw[2+length:]
	}
	return nil, false
}

func (u ucid) hex() string { return hex.EncodeToString(u) }

// decimal gives the form that Avaya's reports have: 5 digits, 5 digits and 10 digits.
func (u ucid) decimal() string {
	return fmt.Sprintf("%05d%05d%010d", binary.BigEndian.Uint16(u), binary.BigEndian.Uint16(u[2:]), binary.BigEndian.Uint32(u[4:]))
}

// ucidOfDecimal is the reverse of decimal.
func ucidOfDecimal(s string) (ucid, bool) {
	if len(s) != 20 {
		return nil, false
	}
	u := make(ucid, 0, ucidBytes)
	for _, part := range []struct {
		digits string
		bits   int
	}{{s[:5], 16}, {s[5:10], 16}, {s[10:], 32}} {
		n, err := strconv.ParseUint(part.digits, 10, part.bits)
		if err != nil {
			return nil, false
		}
		if part.bits == 16 {
			u = binary.BigEndian.AppendUint16(u, uint16(n))
		} else {
			u = binary.BigEndian.AppendUint32(u, uint32(n))
		}
	}
	return u, true
}

// guidOfWords reads "3475321012-1234567890-2456789012-3456789012", four decimal words of 32 bits, as Cisco-Guid is written. Words of fewer
// than nine digits throughout are something else.
func guidOfWords(s string) (digits string, ok bool) {
	words := strings.Split(s, "-")
	if len(words) != 4 || len(s) < 4*9 {
		return "", false
	}
	for _, w := range words {
		n, err := strconv.ParseUint(w, 10, 32)
		if err != nil {
			return "", false
		}
		digits += fmt.Sprintf("%08x", n)
	}
	return digits, true
}
