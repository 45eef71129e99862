package recorder

import (
	"slices"
	"time"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// SidecarFormat is the format version that stands first in every recording.json. docs/formats.md describes it; golden files
// in testdata pin it.
const SidecarFormat = "greffier-recording/1"

// A Sidecar is recording.json: everything that is known of a recording beside its sound. It is stored sealed with the
// recording's own key, so that names, numbers and raw metadata live and die with it.
type Sidecar struct {
	Format       string        `json:"format"`
	ID           string        `json:"id"`
	Session      Session       `json:"session"`
	Decision     Decision      `json:"decision"`
	Class        policy.Class  `json:"class"` // as it stood when the decision was made: a later policy does not reach back
	Participants []Participant `json:"participants"`
	Channels     []Channel     `json:"channels"`
	Audio        Audio         `json:"audio"`
	Gaps         []Gap         `json:"gaps"`
	Pauses       []Pause       `json:"pauses"`
	Warnings     []string      `json:"warnings"`
	Metadata     []Received    `json:"metadata"`
	// Consent is what was said about being recorded, in the order in which it came; absent where nothing was.
	Consent []policy.Signal `json:"consent,omitempty"`
	// What the metadata say of the communication sessions; absent in sidecars of older versions.
	CommunicationSessions []CommunicationSession `json:"communication_sessions,omitempty"`
	Groups                []SessionGroup         `json:"groups,omitempty"`
	Streams               []MediaStream          `json:"streams,omitempty"`
	// Waveform is made in the pass that writes the stored file, so that it shows what is in it (docs/decisions/0009).
	Waveform *media.Waveform `json:"waveform,omitempty"`
	// Redacts is the recording in whose place this one is: the same call, without a span.
	Redacts string `json:"redacts,omitempty"`
}

// A Session is the recording session (RFC 7866) and what it says of the communication session that it recorded.
type Session struct {
	CallID     string            `json:"call_id"` // of the recording session's dialog
	SRC        string            `json:"src"`     // name of the SRC profile
	CallKey    string            `json:"call_key"`
	CallIDs    []string          `json:"call_ids"` // every identifier of the call in the metadata
	Headers    map[string]string `json:"headers,omitempty"`
	StartedAt  time.Time         `json:"started_at"` // the instant of the first sample
	EndedAt    time.Time         `json:"ended_at"`   // the instant after the last
	DurationMS int64             `json:"duration_ms"`
	EndCause   siprec.EndCause   `json:"end_cause"`

	// RecordingSession is the same for all recordings of one dialog with an SRC; CommunicationSession and Group are the metadata's
	// names for what this one holds.
	RecordingSession     string           `json:"recording_session,omitempty"`
	CommunicationSession siprec.SessionID `json:"communication_session,omitempty"`
	Group                siprec.GroupID   `json:"group,omitempty"`

	Tenant string `json:"tenant,omitempty"`
	// ConversationKey is the call key that later metadata gave, when the first one was no more than the dialog's Call-ID.
	ConversationKey string `json:"conversation_key,omitempty"`
}

// A Decision is why this call is recorded. It is made before the first packet is let in.
type Decision struct {
	Record       bool      `json:"record"`
	Class        string    `json:"class,omitempty"`
	Rule         string    `json:"rule,omitempty"`
	Reason       string    `json:"reason"`
	Detail       string    `json:"detail,omitempty"`
	PolicyDigest string    `json:"policy_digest"`
	At           time.Time `json:"at"`

	// What an auditor who has the sampling key needs to make the decision again; absent in those of older versions.
	DirectoryDigest string             `json:"directory_digest,omitempty"`
	Sample          string             `json:"sample,omitempty"` // the share, when there was a draw
	SampleScope     policy.Scope       `json:"sample_scope,omitempty"`
	Draw            string             `json:"draw,omitempty"` // in the sample when below Threshold; both 16 hexadecimal digits
	Threshold       string             `json:"threshold,omitempty"`
	Consent         policy.ConsentMode `json:"consent,omitempty"` // what was asked of the parties
	Quota           policy.Claim       `json:"quota,omitzero"`
}

// A Participant is one party, as the SRC named it.
type Participant struct {
	ID     siprec.ParticipantID `json:"id"`
	AOR    string               `json:"aor,omitempty"`
	Name   string               `json:"name,omitempty"`
	Number string               `json:"number,omitempty"`
	Caller *bool                `json:"caller,omitempty"`

	// Names are all identities, the newest first, when there are several or one tells its language.
	Names    []Name       `json:"names,omitempty"`
	Sessions []Attendance `json:"sessions,omitempty"`
	Features []Feature    `json:"features,omitempty"`
}

// A Channel is one channel of the file: the stream with this label, and who sent it from when to when. It is never guessed:
// a channel that no metadata claims has no participants.
type Channel struct {
	Index        int                `json:"index"`
	Label        siprec.Label       `json:"label"`
	Mixed        bool               `json:"mixed"`
	Content      []string           `json:"content,omitempty"` // a=content of the m-line (RFC 4796)
	Participants []Presence         `json:"participants"`
	Stats        *media.StreamStats `json:"stats,omitempty"`
	// Levels are absent in sidecars of older versions; Quality is, too, of a channel on which nothing came.
	Levels  *media.ChannelLevels `json:"levels,omitempty"`
	Quality *media.Quality       `json:"quality,omitempty"`
}

// A Presence is a participant on a channel for a time, in milliseconds from the first sample.
type Presence struct {
	Participant siprec.ParticipantID `json:"participant"`
	FromMS      int64                `json:"from_ms"`
	ToMS        int64                `json:"to_ms"`
}

// Audio describes the file that holds the sound: recording.wav, recording.flac or recording.opus.
type Audio struct {
	Format policy.Format `json:"format,omitempty"` // of the file; absent: wav
	// Encoding is that of the samples before they were written: PCMU, PCMA or L16.
	Encoding     string `json:"encoding"`
	SampleRate   int    `json:"sample_rate"`
	Channels     int    `json:"channels"`
	Samples      int64  `json:"samples"` // per channel
	Size         int64  `json:"size"`    // bytes of the file
	SHA256       string `json:"sha256"`
	SealedSize   int64  `json:"sealed_size"` // bytes of the sealed file
	SealedSHA256 string `json:"sealed_sha256"`
}

// A Gap is a stretch of a channel in which no sound was received: silence in the file, and why.
type Gap struct {
	Channel    int         `json:"channel"`
	StartMS    float64     `json:"start_ms"`
	DurationMS float64     `json:"duration_ms"`
	Cause      media.Cause `json:"cause"`
}

// unforeseen tells a gap that nobody wanted from one that somebody asked for.
func (g Gap) unforeseen() bool {
	return g.Cause != media.CausePaused && g.Cause != media.CauseInactive && g.Cause != media.CauseSuppressed && g.Cause != media.CauseDiscarded &&
		g.Cause != media.CauseRedacted
}

// A Pause is a stretch in which nothing was recorded on purpose.
type Pause struct {
	FromMS int64  `json:"from_ms"`
	ToMS   int64  `json:"to_ms"`
	Reason string `json:"reason"`
}

// Received is one metadata document as it came.
type Received struct {
	At  time.Time `json:"at"`
	XML string    `json:"xml"`
}

// sidecar tells the whole story of a recording from its history and the plan of its audio.
func (h *history) sidecar(plan media.Plan) Sidecar {
	b := h.begin()
	answered := h.entries[0].At
	start := answered.Add(samples(plan.Offset, plan.Rate))
	end := start.Add(samples(plan.Samples, plan.Rate))
	ms := func(t time.Time) int64 { return max(0, min(t.Sub(start), end.Sub(start)).Milliseconds()) }

	s := Sidecar{
		Format: SidecarFormat,
		ID:     b.ID,
		Session: Session{
			CallID: b.CallID, SRC: b.SRC, CallKey: b.CallKey, Headers: b.Headers,
			StartedAt: utcMS(start), EndedAt: utcMS(end), DurationMS: end.Sub(start).Milliseconds(), EndCause: siprec.EndRestart,
		},
		Decision: b.Decision,
		Class:    b.Class,
		Gaps:     []Gap{},
		Pauses:   []Pause{},
		Warnings: []string{},
		Metadata: []Received{},
		Audio:    Audio{Encoding: plan.Encoding.String(), SampleRate: plan.Rate, Channels: plan.Channels, Samples: plan.Samples},
	}
	for _, g := range plan.Gaps {
		s.Gaps = append(s.Gaps, Gap{
			Channel: g.Channel,
			StartMS: float64(g.Start) * 1000 / float64(plan.Rate), DurationMS: float64(g.Samples) * 1000 / float64(plan.Rate),
			Cause: g.Cause,
		})
	}
	var meta siprec.Metadata
	var stats []media.StreamStats
	labels := make([]siprec.Label, plan.Channels)
	warn := warnings{seen: map[string]bool{}}
	var matching siprec.Matching
	scoped := scopeView{id: h.scope().CommunicationSession, ever: map[siprec.ParticipantID]bool{}}
	received := func(at time.Time, raw []byte) {
		s.Metadata = append(s.Metadata, Received{At: at, XML: string(raw)})
		doc, err := siprec.ParseMetadata(raw)
		if err != nil {
			warn.add(string(siprec.WarnUnreadable))
			return
		}
		meta.Apply(doc, at)
		scoped.saw(&meta)
		mine := meta.Of(scoped.id)
		matching.Metadata(&mine)
	}
	for _, d := range b.Before {
		received(d.At, d.Metadata)
	}
	for _, e := range h.entries {
		warn.add(e.Warnings...)
		matching.Offer(e.offer())
		if e.Metadata != nil {
			received(e.At, e.Metadata)
		}
		if e.Signal != nil {
			s.Consent = append(s.Consent, *e.Signal)
		}
		for _, st := range e.Streams {
			if st.Channel < len(labels) {
				labels[st.Channel] = st.Label
			}
		}
		if e.End != nil {
			s.Session.EndCause, stats = e.End.Cause, e.End.Stats
		}
	}
	s.Pauses = h.pauses(ms, end)
	if h.damaged {
		warn.add("spool-damaged")
	}
	for _, w := range slices.Concat(meta.Warnings, matching.Warnings()) {
		warn.add(string(w))
	}
	s.Session.RecordingSession, s.Session.Tenant = b.RecordingSession, b.Tenant
	s.Session.CommunicationSession, s.Session.Group = h.scope().CommunicationSession, h.scope().Group
	meta = scoped.view(&meta, start, end)
	s.Session.CallIDs = joined(meta.CallIDs(), b.ExternalIDs)
	s.Participants = participants(&meta)
	s.Channels = channels(&meta, labels, stats, ms, end)
	s.Warnings = append(s.Warnings, warn.list...)
	h.metadata = meta
	return s
}

// pauses pairs each pause with its resumption; one that was never resumed lasts to the end.
func (h *history) pauses(ms func(time.Time) int64, end time.Time) []Pause {
	out := []Pause{}
	var open *journalEntry
	for i, e := range h.entries {
		switch {
		case e.Pause != nil && open == nil:
			open = &h.entries[i]
		case e.Resume && open != nil:
			out = append(out, Pause{FromMS: ms(open.At), ToMS: ms(e.At), Reason: open.Pause.Reason})
			open = nil
		}
	}
	if open != nil {
		out = append(out, Pause{FromMS: ms(open.At), ToMS: ms(end), Reason: open.Pause.Reason})
	}
	return out
}

func participants(m *siprec.Metadata) []Participant {
	out := []Participant{}
	for _, p := range m.Participants {
		out = append(out, Participant{ID: p.ID, AOR: p.AOR(), Name: p.Name(), Number: siprec.Number(p.AOR()), Caller: p.Caller})
	}
	return out
}

func channels(m *siprec.Metadata, labels []siprec.Label, stats []media.StreamStats, ms func(time.Time) int64, end time.Time) []Channel {
	mixed := map[siprec.Label]bool{}
	for _, st := range m.Streams {
		mixed[st.Label] = mixed[st.Label] || st.Mixed
	}
	out := []Channel{}
	for i, label := range labels {
		c := Channel{Index: i, Label: label, Participants: []Presence{}}
		for _, p := range m.Presences {
			if p.Label != label {
				continue
			}
			to := p.To
			if to.IsZero() {
				to = end
			}
			c.Participants = append(c.Participants, Presence{Participant: p.Participant, FromMS: ms(p.From), ToMS: ms(to)})
		}
		c.Mixed = mixed[label] || together(c.Participants)
		for j := range stats {
			if stats[j].Channel == i {
				c.Stats = &stats[j]
			}
		}
		out = append(out, c)
	}
	return out
}

// together tells whether several participants were on a channel at the same time, however long ago.
func together(list []Presence) bool {
	for i, p := range list {
		for _, q := range list[:i] {
			if p.Participant != q.Participant && p.FromMS < q.ToMS && q.FromMS < p.ToMS {
				return true
			}
		}
	}
	return false
}

// warnings is a list without repetitions.
type warnings struct {
	list []string
	seen map[string]bool
}

func (w *warnings) add(texts ...string) {
	for _, t := range texts {
		if !w.seen[t] {
			w.seen[t] = true
			w.list = append(w.list, t)
		}
	}
}

func samples(n int64, rate int) time.Duration {
	if rate == 0 {
		return 0
	}
	whole, rest := n/int64(rate), n%int64(rate) // apart, or a week overflows
	return time.Duration(whole)*time.Second + time.Duration(rest)*time.Second/time.Duration(rate)
}

// utcMS is the form in which times are stored: UTC, whole milliseconds.
func utcMS(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// audioName is the name of the sealed audio that the sidecar describes.
func (s *Sidecar) audioName() string {
	if s.Audio.Format == "" {
		return audioName(policy.WAV)
	}
	return audioName(s.Audio.Format)
}

// rate adds the quality of each channel's packets.
func (s *Sidecar) rate(plan *media.Plan) {
	for i := range s.Channels {
		c := &s.Channels[i]
		if q, ok := media.Measure(plan, c.Index, plan.Encoding.String(), c.Stats); ok {
			c.Quality = &q
		}
	}
}

// measured adds what was measured while the sound was written.
func (s *Sidecar) measured(levels []media.ChannelLevels, wave media.Waveform) {
	s.Waveform = &wave
	for i := range s.Channels {
		if c := &s.Channels[i]; c.Index < len(levels) {
			c.Levels = &levels[c.Index]
		}
	}
}
