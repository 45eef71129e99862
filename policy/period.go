package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxPeriodYears is the longest period that a policy may contain; object stores accept no longer lock.
const maxPeriodYears = 100

// A Period is a calendar period: six months are six months, whatever their days. The zero Period has no length.
type Period struct {
	Years, Months, Weeks, Days int
	Time                       time.Duration // hours, minutes and seconds
}

// ParsePeriod reads an ISO 8601 period of whole numbers: P6M, P5Y, P1Y6M, P2W, P30D, PT10M, P1DT12H.
func ParsePeriod(s string) (Period, error) {
	var p Period
	rest, ok := strings.CutPrefix(s, "P")
	if !ok || rest == "" {
		return Period{}, fmt.Errorf("%q is not a period: write P6M, P5Y, P30D or PT10M", s)
	}
	date, clock, hasTime := strings.Cut(rest, "T")
	if hasTime && clock == "" {
		return Period{}, fmt.Errorf("%q is not a period: nothing follows the T", s)
	}
	var hours, minutes, seconds int
	err := readUnits(date, "YMWD", []*int{&p.Years, &p.Months, &p.Weeks, &p.Days})
	if err == nil {
		err = readUnits(clock, "HMS", []*int{&hours, &minutes, &seconds})
	}
	if err != nil {
		return Period{}, fmt.Errorf("%q is not a period: %w", s, err)
	}
	total := float64(p.Years)*366 + float64(p.Months)*31 + float64(p.Weeks)*7 + float64(p.Days) +
		float64(hours)/24 + float64(minutes)/(24*60) + float64(seconds)/(24*60*60)
	if total > (maxPeriodYears+2)*366 {
		return Period{}, fmt.Errorf("%q is longer than %d years", s, maxPeriodYears)
	}
	p.Time = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute + time.Duration(seconds)*time.Second
	if p.everExceeds(Period{Years: maxPeriodYears}) {
		return Period{}, fmt.Errorf("%q is longer than %d years", s, maxPeriodYears)
	}
	return p, nil
}

// readUnits reads numbers that are each followed by one of the letters, in the letters' order, each at most once.
func readUnits(s, letters string, into []*int) error {
	next := 0
	for s != "" {
		digits := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
		if digits <= 0 {
			return fmt.Errorf("a whole number and a unit are expected at %q", s)
		}
		unit := strings.IndexByte(letters[next:], s[digits])
		if unit < 0 {
			return fmt.Errorf("unit %q is unknown there, given twice, or out of order", s[digits:digits+1])
		}
		n, err := strconv.ParseInt(s[:digits], 10, 40)
		if err != nil {
			return fmt.Errorf("number %s is too large", s[:digits])
		}
		next += unit
		*into[next] = int(n)
		next++
		s = s[digits+1:]
	}
	return nil
}

// IsZero tells whether the period has no length.
func (p Period) IsZero() bool { return p == Period{} }

// String gives the period in ISO 8601; PT0S when it has no length.
func (p Period) String() string {
	var b strings.Builder
	b.WriteByte('P')
	put := func(n int64, unit byte) {
		if n != 0 {
			b.WriteString(strconv.FormatInt(n, 10))
			b.WriteByte(unit)
		}
	}
	put(int64(p.Years), 'Y')
	put(int64(p.Months), 'M')
	put(int64(p.Weeks), 'W')
	put(int64(p.Days), 'D')
	if p.Time != 0 || p.IsZero() {
		b.WriteByte('T')
		put(int64(p.Time/time.Hour), 'H')
		put(int64(p.Time/time.Minute%60), 'M')
		put(int64(p.Time/time.Second%60), 'S')
		if p.Time == 0 {
			b.WriteString("0S")
		}
	}
	return b.String()
}

// MarshalText gives the period in ISO 8601.
func (p Period) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a period in ISO 8601.
func (p *Period) UnmarshalText(b []byte) error {
	q, err := ParsePeriod(string(b))
	if err == nil {
		*p = q
	}
	return err
}

// After gives the instant at which the period has passed since t, in UTC. Years and months come first and stop at the end
// of a shorter month: 31 August and six months is 28 or 29 February. Then follow weeks, days and the rest.
func (p Period) After(t time.Time) time.Time {
	t = t.UTC()
	year, month, day := t.Date()
	months := year*12 + int(month) - 1 + p.Years*12 + p.Months
	year, month = months/12, time.Month(months%12+1)
	day = min(day, daysIn(year, month))
	hour, minute, second := t.Clock()
	return time.Date(year, month, day+p.Weeks*7+p.Days, hour, minute, second, t.Nanosecond(), time.UTC).Add(p.Time)
}

func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// everExceeds tells whether there is a day from which p ends later than q. Four years hold every combination of
// month lengths that matters.
func (p Period) everExceeds(q Period) bool {
	start := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 4*365 + 1 {
		day := start.AddDate(0, 0, i)
		if p.After(day).After(q.After(day)) {
			return true
		}
	}
	return false
}
