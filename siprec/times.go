package siprec

import (
	"strings"
	"time"
)

// parseTime reads the forms of time that SRCs write: RFC 3339 with or without fraction, an offset without colon, "T" or "Z" in
// lower case or a space for "T". The warning is empty when all is well. A time without zone is not guessed at: it may be local
// time or UTC.
func parseTime(raw string) (Time, Warning) {
	t := Time{Raw: raw}
	if raw == "" {
		return t, ""
	}
	text := strings.Replace(strings.ToUpper(raw), " ", "T", 1)
	// Go takes a fraction after the seconds whether the layout has one or not.
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07"} {
		if parsed, err := time.Parse(layout, text); err == nil {
			t.Time = parsed
			return t, ""
		}
	}
	if _, err := time.Parse("2006-01-02T15:04:05", text); err == nil {
		return t, WarnTimeWithoutZone
	}
	return t, WarnBadTime
}
