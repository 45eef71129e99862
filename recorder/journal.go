package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/storage/spool"
)

// Kinds of records in a recording's spool file. The values are stored: do not reorder.
const (
	kindJournal byte = 1 // a journalEntry, as JSON
	kindBlock   byte = 2 // a media.Block
)

// A journalEntry is one thing that happened to the session. The sidecar is made of nothing but these and the audio, so that
// a recording that is found after a crash says as much as one that ended well.
type journalEntry struct {
	At       time.Time     `json:"at"`
	Begin    *beginEntry   `json:"begin,omitempty"`
	Metadata []byte        `json:"metadata,omitempty"` // raw rs-metadata
	Streams  []streamEntry `json:"streams,omitempty"`
	Lines    []lineEntry   `json:"lines,omitempty"` // every m-line of the offer that Streams is of; absent in journals of older versions
	End      *endEntry     `json:"end,omitempty"`
	Warnings []string      `json:"warnings,omitempty"`
	Pause    *pauseEntry   `json:"pause,omitempty"`
	Resume   bool          `json:"resume,omitempty"`
	Scope    *scopeEntry   `json:"scope,omitempty"`

	Signal  *policy.Signal `json:"signal,omitempty"`  // what somebody said about being recorded
	Discard *discardEntry  `json:"discard,omitempty"` // what is to be left out of the file
	Fate    *fateEntry     `json:"fate,omitempty"`    // what becomes of the recording; absent: it is stored
}

// A fateEntry says that a recording is not to be stored, and why. The catalog says so too; it may be away.
type fateEntry struct {
	Destroy string `json:"destroy,omitempty"` // the reason for which it is destroyed
	Abandon bool   `json:"abandon,omitempty"` // the SRC never had our yes
}

// A discardEntry names a span, up to the entry's time, that was kept and may not be.
type discardEntry struct {
	From   time.Time `json:"from"`
	Reason string    `json:"reason"`
}

// A scopeEntry names the communication session (CS) that is recorded, once the metadata do.
type scopeEntry struct {
	CommunicationSession siprec.SessionID `json:"communication_session,omitempty"`
	Group                siprec.GroupID   `json:"group,omitempty"`
}

type beginEntry struct {
	ID       string            `json:"id"`
	CallID   string            `json:"call_id"`
	SRC      string            `json:"src"`
	CallKey  string            `json:"call_key"`
	Headers  map[string]string `json:"headers,omitempty"`
	Decision Decision          `json:"decision"`
	Class    policy.Class      `json:"class"`

	// RecordingSession is the same for all recordings of one dialog.
	RecordingSession string `json:"recording_session,omitempty"`
	scopeEntry
	// Before are the metadata of the recording session from before this recording.
	Before []carried `json:"before,omitempty"`

	Tenant      string   `json:"tenant,omitempty"`
	ExternalIDs []string `json:"external_ids,omitempty"` // of the kept headers
}

// A carried document came before a recording began.
type carried struct {
	At       time.Time `json:"at"`
	Metadata []byte    `json:"metadata"`
}

// A streamEntry says what one m-line is from now on.
type streamEntry struct {
	Label   siprec.Label `json:"label"`
	Channel int          `json:"channel"`
	Active  bool         `json:"active"`
}

type pauseEntry struct {
	Reason string `json:"reason"`
}

type endEntry struct {
	Cause siprec.EndCause     `json:"cause"`
	Stats []media.StreamStats `json:"stats,omitempty"`
}

// errNoBegin is a spool file whose first record never reached it: the INVITE was not answered.
var errNoBegin = errors.New("the spool file has no beginning")

// taken turns the report of an earlier sync that failed, which comes with a record that was taken, into success: the record
// survives us, and the next sync tries again. Spool.Stats counts these, and the metrics show them.
func taken(err error) error {
	if errors.Is(err, spool.ErrSync) {
		return nil
	}
	return err
}

// append writes an entry to the spool.
func (e journalEntry) append(w *spool.Writer) error {
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode journal entry: %w", err)
	}
	if err := taken(w.Append(kindJournal, b)); err != nil {
		return fmt.Errorf("append journal entry: %w", err)
	}
	return nil
}

// A history is what a recording's spool file says.
type history struct {
	entries  []journalEntry
	assembly media.Assembly
	ended    bool
	damaged  bool // some records could not be read; the others could
	fate     *fateEntry

	metadata siprec.Metadata // at the end; once a sidecar was made of it
}

func (h *history) begin() *beginEntry { return h.entries[0].Begin }

// scope names the communication session that was recorded, as the journal knows it in the end.
func (h *history) scope() scopeEntry {
	out := h.begin().scopeEntry
	for _, e := range h.entries {
		if e.Scope != nil {
			out = *e.Scope
		}
	}
	return out
}

// plan says what the sound amounts to. A call that ended before its first block has a file without samples.
func (h *history) plan() media.Plan {
	plan := h.assembly.Finish()
	if plan.Channels > 0 {
		return plan
	}
	plan.Encoding, plan.Rate, plan.Channels = codec.L16, media.Rate, 1
	for _, s := range h.entries[0].Streams {
		plan.Channels = max(plan.Channels, s.Channel+1)
	}
	return plan
}

// discard silences in a plan what was kept and may not be.
func (h *history) discard(plan *media.Plan) {
	start := h.entries[0].At.Add(samples(plan.Offset, plan.Rate))
	at := func(t time.Time) int64 { return int64(t.Sub(start).Seconds() * float64(plan.Rate)) }
	for _, e := range h.entries {
		if e.Discard != nil {
			plan.Silence(at(e.Discard.From), at(e.At)+1, media.CauseDiscarded)
		}
	}
}

// readHistory goes through a spool file once: it keeps the journal, and of the audio only what the assembly notes.
func readHistory(records iter.Seq2[spool.Record, error]) (*history, error) {
	h := &history{}
	for rec, err := range records {
		if errors.Is(err, spool.ErrDamaged) {
			h.damaged = true // what lies behind the damage is still good
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read spool: %w", err)
		}
		switch rec.Kind {
		case kindJournal:
			var e journalEntry
			if err := json.Unmarshal(rec.Payload, &e); err != nil {
				return nil, fmt.Errorf("decode journal entry %d: %w", len(h.entries), err)
			}
			h.entries = append(h.entries, e)
			h.ended = h.ended || e.End != nil
			if e.Fate != nil {
				h.fate = e.Fate
			}
		case kindBlock:
			b, err := media.UnmarshalBlock(rec.Payload)
			if err != nil {
				return nil, fmt.Errorf("decode audio block: %w", err)
			}
			h.assembly.Add(b)
		default:
			return nil, fmt.Errorf("record of kind %d: the spool was written by a newer version; finish it with that one", rec.Kind)
		}
	}
	if len(h.entries) == 0 || h.entries[0].Begin == nil {
		if h.damaged { // never taken for an empty file: that would be thrown away
			return nil, errors.New("the spool file is damaged at its beginning, or was written with another key; keep it, and restore the keys from your backup")
		}
		return nil, errNoBegin
	}
	return h, nil
}

// blocks goes through a spool file again, for the audio alone.
func blocks(records iter.Seq2[spool.Record, error]) iter.Seq2[media.Block, error] {
	return func(yield func(media.Block, error) bool) {
		for rec, err := range records {
			if errors.Is(err, spool.ErrDamaged) {
				continue // the assembly knows that it is missing
			}
			if err != nil {
				yield(media.Block{}, err)
				return
			}
			if rec.Kind != kindBlock {
				continue
			}
			b, err := media.UnmarshalBlock(rec.Payload)
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}
