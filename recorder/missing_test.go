package recorder

import (
	"fmt"
	"testing"
	"time"
)

// TestMissing goes through the looks at one stream, a second apart.
func TestMissing(t *testing.T) {
	t0 := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	active := func(from int) watchedStream {
		return watchedStream{label: "1", channel: 0, active: true, from: at(from)}
	}
	held := func(from int) watchedStream { return watchedStream{label: "1", from: at(from)} }
	got := func(packets, last int) heard {
		h := heard{packets: uint64(packets), loud: true}
		if packets > 0 {
			h.last = at(last)
		}
		return h
	}
	type step struct {
		until int // the looks go on so, to this second
		s     watchedStream
		h     func(second int) heard
		want  string // events, with the second at which they came
	}
	none := func(int) heard { return heard{} }
	flowing := func(second int) heard { return got(50*second, second) }
	stuck := func(packets, last int) func(int) heard { return func(int) heard { return got(packets, last) } }
	silentUntil := func(loudFrom int) func(int) heard {
		return func(second int) heard {
			h := flowing(second)
			h.loud = second >= loudFrom
			return h
		}
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"all is well", []step{{60, active(0), flowing, ""}}},
		{"nothing from the start", []step{{60, active(0), none, "10 missing no_packets 0;"}}},
		{"it stops", []step{{20, active(0), flowing, ""}, {60, active(0), stuck(1000, 20), "30 missing no_packets 20;"}}},
		{"it stops, and comes back", []step{
			{20, active(0), flowing, ""}, {40, active(0), stuck(1000, 20), "30 missing no_packets 20;"}, {90, active(0), flowing, "41 returned no_packets 20;"},
		}},
		{"twice", []step{
			{5, active(0), flowing, ""}, {20, active(0), stuck(250, 5), "15 missing no_packets 5;"}, {21, active(0), flowing, "21 returned no_packets 5;"},
			{40, active(0), stuck(1050, 21), "31 missing no_packets 21;"},
		}},
		{"nine seconds are nothing", []step{{5, active(0), flowing, ""}, {14, active(0), stuck(250, 5), ""}, {60, active(0), flowing, ""}}},
		{"never active", []step{{60, held(0), none, ""}}},
		{"active late", []step{{20, held(0), none, ""}, {60, active(20), none, "30 missing no_packets 20;"}}},
		{"on hold", []step{{20, active(0), flowing, ""}, {60, held(20), stuck(1000, 20), ""}, {69, active(60), stuck(1000, 20), ""}, {80, active(60), flowing, ""}}},
		{"on hold, and then nothing", []step{{20, active(0), flowing, ""}, {60, held(20), stuck(1000, 20), ""}, {90, active(60), stuck(1000, 20), "70 missing no_packets 60;"}}},
		{"put on hold while it is missing", []step{
			{12, active(0), none, "10 missing no_packets 0;"}, {30, held(12), none, ""}, {50, active(30), flowing, ""},
		}},
		{"resumed between two looks", []step{{20, active(0), flowing, ""}, {28, active(20), stuck(1000, 20), ""}, {60, active(28), flowing, ""}}},
		{"packets while on hold count for nothing", []step{{20, held(0), flowing, ""}, {60, active(20), stuck(1000, 20), "30 missing no_packets 20;"}}},
		{"silent", []step{{60, active(0), silentUntil(1000), "11 missing silent 1;"}}},
		{"silent at first", []step{{60, active(0), silentUntil(30), "11 missing silent 1;30 returned silent 1;"}}},
		{"soon loud", []step{{60, active(0), silentUntil(10), ""}}},
		{"silent, and then nothing", []step{
			{12, active(0), silentUntil(1000), "11 missing silent 1;"},
			{60, active(0), func(int) heard { h := got(600, 12); h.loud = false; return h }, "22 missing no_packets 12;"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, second := &streamWatch{}, 0
			for _, s := range c.steps {
				told := ""
				for second < s.until {
					second++
					for _, e := range w.look(s.s, s.h(second), at(second), 10*time.Second) {
						typ := map[string]string{EventMissing: "missing", EventReturned: "returned"}[e.typ]
						told += fmt.Sprintf("%d %s %s %d;", second, typ, e.data.Reason, int(e.data.Since.Sub(t0).Seconds()))
						if e.data.Label != "1" {
							t.Errorf("event of %q", e.data.Label)
						}
					}
				}
				if told != s.want {
					t.Errorf("to %d s: %q, want %q", s.until, told, s.want)
				}
			}
		})
	}
}
