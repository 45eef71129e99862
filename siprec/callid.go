package siprec

import (
	"slices"
	"strings"
)

// CallKey identifies the communication session: the same for every recording session, leg and retry that concerns the same
// call, as far as the SRC says so. It is the first of
//
//   - the first SIP session identifier that the metadata ever had, the two halves of an RFC 7989 pair in ascending order, so that
//     both ends of a call give the same key ("a;remote=b" and "b;remote=a" are "a;b"); a half that is not known yet (all zeros) is left out;
//   - the first communication session's identifier;
//   - the given fallback.
func (m *Metadata) CallKey(fallback string) string {
	for _, s := range m.Sessions {
		if len(s.SIPSessionIDs) > 0 {
			halves := sessionIDHalves(s.SIPSessionIDs[0])
			slices.Sort(halves)
			return strings.Join(slices.Compact(halves), ";")
		}
	}
	for _, s := range m.Sessions {
		if s.ID != "" {
			return string(s.ID)
		}
	}
	return fallback
}

// CallIDs lists every identifier of the call that the metadata hold, for search, each once: SIP session ids (the halves of a
// pair apart), session and group ids, and identifiers that known dialects put in extensions, in every form that others know them by
// (see HeaderIDs).
func (m *Metadata) CallIDs() []string {
	var out []string
	add := func(id string) {
		if id != "" {
			out = addNew(out, id)
		}
	}
	for _, s := range m.Sessions {
		for _, id := range s.SIPSessionIDs {
			for _, half := range SessionIDHalves(id) {
				add(half)
			}
		}
		for _, id := range idForms("", string(s.ID)) { // the UCID, of Avaya
			add(id)
		}
		add(string(s.Group))
	}
	for _, g := range m.Groups {
		add(string(g.ID))
	}
	for _, x := range m.Extensions {
		if name := lastStep(x.Name); isCallID(name) {
			for _, id := range idForms(name, x.Value) {
				add(id)
			}
		}
	}
	return out
}

// SessionIDHalves gives the halves that are known of a pair "a;remote=b" (RFC 7989 section 5); anything else, such as a Call-ID, whole.
func SessionIDHalves(id string) []string {
	return slices.DeleteFunc(sessionIDHalves(id), func(half string) bool { return strings.Trim(half, "0") == "" })
}

// sessionIDHalves takes "a;remote=b" (RFC 7989 section 5) apart; anything else, such as a Call-ID, comes back whole.
func sessionIDHalves(id string) []string {
	fields := strings.Split(id, ";")
	if len(fields) == 1 {
		return []string{foldUUID(id)}
	}
	halves := []string{foldUUID(strings.TrimSpace(fields[0]))}
	for _, field := range fields[1:] {
		name, value, _ := strings.Cut(field, "=")
		value = foldUUID(strings.TrimSpace(value))
		if strings.EqualFold(strings.TrimSpace(name), "remote") && strings.Trim(value, "0") != "" {
			halves = append(halves, value)
		}
	}
	if len(halves) == 2 && strings.Trim(halves[0], "0") == "" {
		halves = halves[1:]
	}
	return halves
}

// foldUUID puts RFC 7989 identifiers in lower case. Others, Call-IDs above all, depend on case.
func foldUUID(id string) string {
	if len(id) != 32 || strings.Trim(id, "0123456789abcdefABCDEF") != "" {
		return id
	}
	return strings.ToLower(id)
}

// SnapshotRequest writes the document by which a recording server asks for a complete snapshot (RFC 7865 section 7), to be sent
// in an UPDATE as application/rs-metadata with Content-Disposition recording-session (RFC 7866 section 9.2).
func SnapshotRequest(reason string) []byte {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\r\n" +
		`<requestsnapshot xmlns="urn:ietf:params:xml:ns:recording:1">` + "\r\n" +
		`<requestreason xml:lang="en">` + escape.Replace(reason) + `</requestreason>` + "\r\n" +
		`</requestsnapshot>` + "\r\n")
}
