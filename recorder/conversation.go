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

// relate says to what a recording belongs. Its links are keyed hashes of the call's key, of the communication sessions' identifiers, and
// of their groups'. It is made of the sidecar alone.
func (w *words) relate(row *catalog.Recording, s *Sidecar) {
	key := cmp.Or(s.Session.ConversationKey, s.Session.CallKey)
	row.Conversation, row.RecordingSession = w.hash(key), s.Session.RecordingSession
	link := func(hash string) {
		if len(row.Links) < maxLinks && !slices.Contains(row.Links, hash) {
			row.Links = append(row.Links, hash)
		}
	}
	link(row.Conversation)
	link(row.CallKeyHash)
	unique := func(id string) {
		if len(id) >= uniqueBytes {
			link(w.hash(id))
		}
	}
	for _, cs := range s.concerned() {
		for _, id := range cs.SIPSessionIDs {
			for _, half := range siprec.SessionIDHalves(id) {
				unique(half)
			}
		}
		unique(string(cs.ID))
		unique(string(cs.Group))
		if row.GroupHash == "" && cs.Group != "" {
			row.GroupHash = w.hash(string(cs.Group))
		}
	}
}

// concerned lists the communication sessions that the recording is of.
func (s *Sidecar) concerned() []CommunicationSession {
	if s.Session.CommunicationSession == "" {
		return s.CommunicationSessions
	}
	var out []CommunicationSession
	for _, cs := range s.CommunicationSessions {
		if cs.ID == s.Session.CommunicationSession {
			out = append(out, cs)
		}
	}
	return out
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
