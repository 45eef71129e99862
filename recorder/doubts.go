package recorder

import (
	"time"

	"github.com/greffier/greffier/siprec"
)

// How often an SRC is asked for a complete snapshot of its metadata.
const (
	maxSnapshots     = 5                // in one recording session
	snapshotInterval = 30 * time.Second // between two of them
)

// snapshotRequested is the warning of a recording whose SRC was asked for its metadata anew.
const snapshotRequested = "snapshot-requested"

// doubts is what a session's metadata leave open, and what was asked because of it. Each kind of doubt is asked about once, until a
// complete document has come.
type doubts struct {
	open   siprec.Doubt // to be asked about; "": nothing
	raised map[siprec.Doubt]bool
	asked  int
	last   time.Time // when it was last asked
}

// raise takes the doubts that a document brings. A complete document that can be read settles those from before.
func (d *doubts) raise(found []siprec.Doubt, doc *siprec.Document) {
	if len(found) == 0 && doc.DataMode != siprec.Partial {
		d.open, d.raised = "", nil
		return
	}
	for _, x := range found {
		if d.raised[x] {
			continue
		}
		if d.raised == nil {
			d.raised = map[siprec.Doubt]bool{}
		}
		d.raised[x] = true
		if d.open == "" {
			d.open = x
		}
	}
}

// due tells whether, and from when on, a snapshot is to be asked for.
func (d *doubts) due() (at time.Time, ok bool) {
	if d.open == "" || d.asked >= maxSnapshots {
		return time.Time{}, false
	}
	if d.last.IsZero() {
		return time.Time{}, true
	}
	return d.last.Add(snapshotInterval), true
}

// ask says why to ask now; "" when not.
func (d *doubts) ask(now time.Time) siprec.Doubt {
	at, ok := d.due()
	if !ok || now.Before(at) {
		return ""
	}
	reason := d.open
	d.open, d.last = "", now
	d.asked++
	return reason
}
