package catalog

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/greffier/greffier/siprec"
)

// timeForm is RFC 3339 with milliseconds.
const timeForm = "2006-01-02T15:04:05.000Z07:00"

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeForm)
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	return t.UTC(), err
}

type presenceJSON struct {
	AOR  string `json:"aor,omitempty"`
	Name string `json:"name,omitempty"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

type channelJSON struct {
	Index        int            `json:"index"`
	Label        siprec.Label   `json:"label"`
	Mixed        bool           `json:"mixed"`
	Participants []presenceJSON `json:"participants"`
}

type silencesJSON struct {
	Count   int   `json:"count"`
	TotalMS int64 `json:"total_ms"`
}

type qualityJSON struct {
	WorstMOS  float64 `json:"worst_mos"`
	WorstLoss float64 `json:"worst_loss_ratio"`
	LongestMS int64   `json:"longest_gap_ms"`
}

func ratedJSON(q Quality) *qualityJSON {
	if q == (Quality{}) {
		return nil
	}
	return &qualityJSON{q.MOS, q.Loss, q.LongestGap.Milliseconds()}
}

// recordingJSON is a recording as the command line and the API show it.
type recordingJSON struct {
	ID              string          `json:"id"`
	State           State           `json:"state"`
	Class           string          `json:"class"`
	Rule            string          `json:"rule"`
	Reason          string          `json:"reason"`
	Detail          string          `json:"detail,omitempty"`
	PolicyDigest    string          `json:"policy_digest,omitempty"`
	SRC             string          `json:"src"`
	Tenant          string          `json:"tenant,omitempty"`
	CallKeyHash     string          `json:"call_key_hash,omitempty"`
	Conversation    string          `json:"conversation,omitempty"`
	GroupHash       string          `json:"group_hash,omitempty"`
	Session         string          `json:"recording_session,omitempty"`
	StartedAt       string          `json:"started_at"`
	EndedAt         string          `json:"ended_at,omitempty"`
	DurationMS      int64           `json:"duration_ms"`
	Participants    []Participant   `json:"participants"`
	Channels        []channelJSON   `json:"channels"`
	CallIDs         []string        `json:"call_ids"`
	Audio           *Object         `json:"audio,omitempty"`
	Sidecar         *Object         `json:"sidecar,omitempty"`
	LockMode        string          `json:"lock_mode,omitempty"`
	LockedUntil     string          `json:"locked_until,omitempty"`
	QuarantineUntil string          `json:"quarantine_until,omitempty"`
	RetainUntil     string          `json:"retain_until,omitempty"`
	Gaps            silencesJSON    `json:"gaps"`
	Pauses          silencesJSON    `json:"pauses"`
	Quality         *qualityJSON    `json:"quality,omitempty"`
	EndCause        siprec.EndCause `json:"end_cause,omitempty"`
	Warnings        []string        `json:"warnings"`
	GoneAt          string          `json:"gone_at,omitempty"`
	GoneReason      string          `json:"gone_reason,omitempty"`
}

// MarshalJSON gives the recording as the command line and the API show it: times in RFC 3339 with milliseconds, durations in
// milliseconds, lists never null.
func (r Recording) MarshalJSON() ([]byte, error) {
	return json.Marshal(recordingJSON{
		ID: r.ID, State: r.State, Class: r.Class, Rule: r.Rule, Reason: r.Reason, Detail: r.Detail, PolicyDigest: r.PolicyDigest,
		SRC: r.SRC, Tenant: r.Tenant, CallKeyHash: r.CallKeyHash, Conversation: r.Conversation, GroupHash: r.GroupHash, Session: r.RecordingSession,
		StartedAt: formatTime(r.StartedAt), EndedAt: formatTime(r.EndedAt), DurationMS: r.Duration.Milliseconds(),
		Participants: notNil(r.Participants), Channels: channelsJSON(r.Channels), CallIDs: notNil(r.CallIDs),
		Audio: shown(r.Audio), Sidecar: shown(r.Sidecar),
		LockMode: r.LockMode, LockedUntil: formatTime(r.LockedUntil), QuarantineUntil: formatTime(r.QuarantineUntil), RetainUntil: formatTime(r.RetainUntil),
		Gaps:     silencesJSON{r.Gaps.Count, r.Gaps.Total.Milliseconds()},
		Pauses:   silencesJSON{r.Pauses.Count, r.Pauses.Total.Milliseconds()},
		Quality:  ratedJSON(r.Quality),
		EndCause: r.EndCause, Warnings: notNil(r.Warnings), GoneAt: formatTime(r.Gone.At), GoneReason: r.Gone.Reason,
	})
}

func shown(o Object) *Object {
	if o == (Object{}) {
		return nil
	}
	return &o
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func channelsJSON(channels []Channel) []channelJSON {
	out := make([]channelJSON, len(channels))
	for i, c := range channels {
		out[i] = channelJSON{Index: c.Index, Label: c.Label, Mixed: c.Mixed, Participants: make([]presenceJSON, len(c.Participants))}
		for j, p := range c.Participants {
			out[i].Participants[j] = presenceJSON{AOR: p.AOR, Name: p.Name, From: formatTime(p.From), To: formatTime(p.To)}
		}
	}
	return out
}

func parseChannels(text string) ([]Channel, error) {
	var in []channelJSON
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return nil, err
	}
	var out []Channel
	for _, c := range in {
		channel := Channel{Index: c.Index, Label: c.Label, Mixed: c.Mixed}
		for _, p := range c.Participants {
			from, err := parseTime(p.From)
			if err != nil {
				return nil, err
			}
			to, err := parseTime(p.To)
			if err != nil {
				return nil, err
			}
			channel.Participants = append(channel.Participants, Presence{AOR: p.AOR, Name: p.Name, From: from, To: to})
		}
		out = append(out, channel)
	}
	return out, nil
}

// encode gives a value as JSON text for a column. The types that it is given cannot fail.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("catalog: %T is not JSON: %v", v, err))
	}
	return string(b)
}

// millis gives a time as it is stored.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is the reverse of millis.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
