package policy_test

import (
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
)

func TestPeriodAfter(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		period string
		from   time.Time
		want   string
	}{
		{"P6M", time.Date(2026, 3, 15, 9, 30, 1, 5e8, time.UTC), "2026-09-15T09:30:01.5Z"},
		{"P6M", time.Date(2026, 8, 31, 12, 0, 0, 0, time.UTC), "2027-02-28T12:00:00Z"}, // R14: no 3 March
		{"P6M", time.Date(2027, 8, 31, 12, 0, 0, 0, time.UTC), "2028-02-29T12:00:00Z"}, // a leap year
		{"P1Y", time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC), "2029-02-28T00:00:00Z"},
		{"P4Y", time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC), "2032-02-29T00:00:00Z"},
		{"P5Y", time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC), "2031-12-31T23:59:59Z"},
		{"P1M1D", time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), "2026-03-01T00:00:00Z"}, // clamped, then a day
		{"P1Y6M", time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC), "2028-01-01T00:00:00Z"},
		{"P13M", time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), "2028-01-01T00:00:00Z"},
		{"P2W", time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC), "2026-04-03T00:00:00Z"},
		{"P30D", time.Date(2026, 3, 20, 0, 0, 0, 0, paris), "2026-04-18T23:00:00Z"}, // UTC days, across summer time
		{"PT10M", time.Date(2026, 12, 31, 23, 55, 0, 0, time.UTC), "2027-01-01T00:05:00Z"},
		{"P1DT12H30M5S", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), "2026-03-02T12:30:05Z"},
		{"PT0S", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), "2026-03-01T00:00:00Z"},
	}
	for _, test := range tests {
		p, err := policy.ParsePeriod(test.period)
		if err != nil {
			t.Errorf("%s: %v", test.period, err)
			continue
		}
		if got := p.After(test.from).Format(time.RFC3339Nano); got != test.want {
			t.Errorf("%s after %v: got %s, want %s", test.period, test.from, got, test.want)
		}
		if p.String() != test.period {
			t.Errorf("%s is written %s", test.period, p)
		}
	}
}

func TestPeriodRefused(t *testing.T) {
	for _, s := range []string{
		"", "P", "PT", "P1DT", "6M", "P-6M", "-P6M", "P6", "PM", "P1M1Y", "P1Y1Y", "P1H", "PT1D", "P0.5M", "P1,5D", "p6m", "P6M ",
		"P101Y", "P1201M", "P36526D", "PT999999999999S", "P99999999999999999999Y", "forever", "never",
	} {
		if p, err := policy.ParsePeriod(s); err == nil {
			t.Errorf("%q was read as %s", s, p)
		}
	}
}
