package srs

import (
	"fmt"
	"sync"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

// A dialogTable holds the dialogs that are open.
type dialogTable struct {
	mu      sync.Mutex // protects what follows
	max     int
	dialogs map[siprec.DialogID]*dialog
	invites map[string]siprec.DialogID // by the INVITE that opened it
	of      map[*Source]int            // how many each source has
	removed chan struct{}              // closed and replaced when a dialog goes
}

func newDialogTable(limit int) *dialogTable {
	return &dialogTable{
		max:     limit,
		dialogs: map[siprec.DialogID]*dialog{},
		invites: map[string]siprec.DialogID{},
		of:      map[*Source]int{},
		removed: make(chan struct{}),
	}
}

// inviteKey is the same for copies of one INVITE that came by different ways (RFC 3261 section 8.2.2.2).
func inviteKey(req *sip.Request) string {
	id := dialogID(req)
	return fmt.Sprintf("%s\x00%s\x00%d", id.CallID, id.RemoteTag, req.CSeq().SeqNo)
}

// add puts a dialog in, unless its INVITE is a copy or there are too many.
func (t *dialogTable) add(d *dialog) *failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.invites[d.key]; ok {
		return &failure{status: 482, kind: siprec.Malformed, reason: "the same INVITE came by another way"}
	}
	if f := t.full(d.src); f != nil {
		return f
	}
	t.dialogs[d.id] = d
	t.invites[d.key] = d.id
	t.of[d.src]++
	return nil
}

// room tells why a source could not have another dialog now, or nil.
func (t *dialogTable) room(src *Source) *failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.full(src)
}

// full is room; mu is held.
func (t *dialogTable) full(src *Source) *failure {
	switch {
	case len(t.dialogs) >= t.max:
		return busy(CauseSessions, "there are too many recording sessions")
	case src.MaxSessions > 0 && t.of[src] >= src.MaxSessions:
		return busy(CauseSourceSessions, "this client has as many recording sessions as its profile allows")
	}
	return nil
}

func (t *dialogTable) has(id siprec.DialogID) bool { return t.find(id) != nil }

func (t *dialogTable) remove(d *dialog) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dialogs[d.id] != d {
		return
	}
	delete(t.dialogs, d.id)
	delete(t.invites, d.key)
	if t.of[d.src]--; t.of[d.src] == 0 {
		delete(t.of, d.src)
	}
	close(t.removed)
	t.removed = make(chan struct{})
}

func (t *dialogTable) find(id siprec.DialogID) *dialog {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dialogs[id]
}

func (t *dialogTable) all() []*dialog {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*dialog, 0, len(t.dialogs))
	for _, d := range t.dialogs {
		all = append(all, d)
	}
	return all
}

// watch gives the number of dialogs and a channel that closes when one goes.
func (t *dialogTable) watch() (int, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.dialogs), t.removed
}
