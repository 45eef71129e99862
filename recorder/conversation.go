package recorder

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/siprec"
)

// uniqueBytes is from which length on a session's or group's identifier is believed to be unique, as RFC 7865 section 6.10 wants it:
// 16 bytes in base64 are 24 characters, the shortest of a real SRC 16. "1" says nothing of which call it is.
const uniqueBytes = 16

// maxLinks bounds the links of one recording. The first are the best.
const maxLinks = 64

// relate says to what a recording belongs. It is made of the sidecar alone.
func (w *words) relate(row *catalog.Recording, s *Sidecar) {
	key := cmp.Or(s.Session.ConversationKey, s.Session.CallKey)
	row.Conversation, row.RecordingSession = w.hash(key), s.Session.RecordingSession
	sessions := s.concerned()
	row.Links = w.links(sessions, key, s.Session.CallKey)
	row.GroupHash = w.groupHash(sessions)
}

// links are what recordings of one conversation have in common: keyed hashes of the call's keys, of the communication sessions'
// identifiers, and of their groups'.
func (w *words) links(sessions []siprec.Session, keys ...string) []string {
	var out []string
	link := func(text string) {
		if hash := w.hash(text); len(out) < maxLinks && !slices.Contains(out, hash) {
			out = append(out, hash)
		}
	}
	unique := func(id string) {
		if len(id) >= uniqueBytes {
			link(id)
		}
	}
	for _, key := range keys {
		link(key)
	}
	for _, cs := range sessions {
		for _, id := range cs.SIPSessionIDs {
			for _, half := range siprec.SessionIDHalves(id) {
				unique(half)
			}
		}
		unique(string(cs.ID))
		unique(string(cs.Group))
	}
	return out
}

// groupHash is the keyed hash of the first group of the sessions, or "".
func (w *words) groupHash(sessions []siprec.Session) string {
	for _, cs := range sessions {
		if cs.Group != "" {
			return w.hash(string(cs.Group))
		}
	}
	return ""
}

// concerned lists the communication sessions that the recording is of.
func (s *Sidecar) concerned() []siprec.Session {
	var out []siprec.Session
	for _, cs := range s.CommunicationSessions {
		if only := s.Session.CommunicationSession; only == "" || cs.ID == only {
			out = append(out, siprec.Session{ID: cs.ID, Group: cs.Group, SIPSessionIDs: cs.SIPSessionIDs})
		}
	}
	return out
}

// relatedData says to what a call belongs that is not recorded, for want of a sidecar. All are keyed hashes.
type relatedData struct {
	Links []string `json:"links,omitempty"`
	Group string   `json:"group_hash,omitempty"`
}

// related is the relatedData of a decision, empty for one that leads to a sidecar.
func (w *words) related(record bool, m *siprec.Metadata, key string) relatedData {
	if record {
		return relatedData{}
	}
	return relatedData{Links: w.links(m.Sessions, key), Group: w.groupHash(m.Sessions)}
}

// Related lists the other recordings that belong with one: those of its conversation, the oldest first, and then those that the same SIP
// session recorded.
func (a *Archive) Related(ctx context.Context, row catalog.Recording) (conversation, session []catalog.Recording, err error) {
	if conversation, err = a.Catalog.List(ctx, catalog.Query{Conversation: row.ID}); err != nil {
		return nil, nil, fmt.Errorf("find conversation: %w", err)
	}
	if row.RecordingSession != "" {
		if session, err = a.Catalog.List(ctx, catalog.Query{RecordingSession: row.RecordingSession}); err != nil {
			return nil, nil, fmt.Errorf("find recording session: %w", err)
		}
	}
	others := func(list []catalog.Recording) []catalog.Recording {
		list = slices.DeleteFunc(list, func(r catalog.Recording) bool { return r.ID == row.ID })
		slices.Reverse(list) // the catalog lists the newest first
		return list
	}
	return others(conversation), others(session), nil
}
