package main

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/storage/spool"
)

// A site is the state of the world that an admission sees.
type site struct {
	disk    error
	late    time.Duration
	free    int
	bounded bool
	backlog int64
	busy    float64 // of the machine
	own     float64 // of us, on two processors
	blind   bool    // CPU time cannot be read

	now time.Time
	cpu cpuTime
}

func (s *site) admission(log *zap.Logger, maxBacklog uint64) *admission {
	return &admission{
		gauges: gauges{
			disk:    func() error { return s.disk },
			media:   func() media.ReceiverStats { return media.ReceiverStats{MaxDelay: s.late} },
			ports:   func() (int, bool) { return s.free, s.bounded },
			backlog: func() (spool.Backlog, error) { return spool.Backlog{Recordings: 1, Bytes: s.backlog}, nil },
			cpu: func() (cpuTime, error) {
				if s.blind {
					return cpuTime{}, errors.New("hidden")
				}
				return s.cpu, nil
			},
		},
		maxBacklog: maxBacklog, log: log, now: func() time.Time { return s.now },
	}
}

// pass lets a time go by, with a look at each second.
func (s *site) pass(a *admission, d time.Duration) {
	for range int(d / loadInterval) {
		s.now = s.now.Add(loadInterval)
		s.cpu.at, s.cpu.procs = s.now, 2
		s.cpu.all += 2 * loadInterval
		s.cpu.busy += time.Duration(s.busy * float64(2*loadInterval))
		s.cpu.own += time.Duration(s.own * float64(2*loadInterval))
		a.look()
	}
}

// TestAdmission refuses for want of something, and for an overload only when media suffer.
func TestAdmission(t *testing.T) {
	full := &siprec.Refusal{Kind: siprec.Unavailable, Reason: "the spool's disk is full", Cause: "disk"}
	for name, x := range map[string]struct {
		site site
		want []cause
	}{
		"idle":                           {site{bounded: true, free: 100}, nil},
		"ports of the system's choice":   {site{}, nil},
		"two pairs left":                 {site{bounded: true, free: 2}, nil},
		"one pair left":                  {site{bounded: true, free: 1}, []cause{causePorts}},
		"no disk":                        {site{disk: full}, []cause{causeDisk}},
		"a busy neighbour":               {site{busy: 1}, nil},
		"busy ourselves, and in time":    {site{busy: 1, own: 1, late: 100 * time.Millisecond}, nil},
		"busy and late":                  {site{busy: 0.97, late: 600 * time.Millisecond}, []cause{causeCPU}},
		"a busy container":               {site{busy: 0.2, own: 0.99, late: 600 * time.Millisecond}, []cause{causeCPU}},
		"late and not busy":              {site{busy: 0.5, late: 600 * time.Millisecond}, nil},
		"late by half of what waits":     {site{busy: 0.1, late: 3 * time.Second}, []cause{causeLate}},
		"late, processors unknown":       {site{blind: true, late: time.Second}, nil},
		"very late, processors unknown":  {site{blind: true, late: 4 * time.Second}, []cause{causeLate}},
		"much to store":                  {site{backlog: 2000}, []cause{causeBacklog}},
		"not too much to store":          {site{backlog: 1000}, nil},
		"everything is wrong":            {site{disk: full, bounded: true, late: 9 * time.Second, backlog: 1 << 40}, []cause{causeBacklog, causeDisk, causeLate, causePorts}},
		"a disk that cannot be measured": {site{disk: errors.New("no such device")}, []cause{causeDisk}},
	} {
		t.Run(name, func(t *testing.T) {
			x.site.now = time.Unix(1000, 0)
			a := x.site.admission(zap.NewNop(), 1000)
			x.site.pass(a, 10*time.Second)
			if got := slices.Sorted(maps.Keys(a.judge())); !slices.Equal(got, x.want) {
				t.Fatalf("refused for %v, want %v", got, x.want)
			}
			err := a.ready()
			var refusal *siprec.Refusal
			switch {
			case len(x.want) == 0 && err != nil:
				t.Errorf("refused: %v", err)
			case len(x.want) > 0 && (!errors.As(err, &refusal) || refusal.Kind != siprec.Unavailable || refusal.Cause != string(x.want[0]) || refusal.Reason == ""):
				t.Errorf("refusal %#v", err)
			}
			for c := range causes {
				if a.refuses(c) != slices.Contains(x.want, c) {
					t.Errorf("%s: refuses %v", c, a.refuses(c))
				}
			}
		})
	}
}

// TestOverloadPasses takes sessions again when the window has passed, and says when it began and ended.
func TestOverloadPasses(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	s := &site{now: time.Unix(1000, 0), busy: 1}
	a := s.admission(zap.New(core), 0)
	s.pass(a, 10*time.Second)
	s.late = time.Second
	s.pass(a, time.Second)
	s.late = 0
	for range loadWindow {
		if a.ready() == nil {
			t.Fatal("taken while media were late in the window")
		}
		s.pass(a, time.Second)
	}
	if err := a.ready(); err != nil {
		t.Errorf("still refused: %v", err)
	}
	if n := logs.Len(); n != 2 {
		t.Errorf("%d log lines: %v", n, logs.All())
	}
}

// TestReadCPU reads the machine's counters twice: they go up, and the share is one.
func TestReadCPU(t *testing.T) {
	before, err := readCPU()
	if err != nil {
		t.Fatal(err)
	}
	for sum, began := 0, time.Now(); time.Since(began) < 50*time.Millisecond; sum++ {
	}
	after, err := readCPU()
	if err != nil {
		t.Fatal(err)
	}
	share, known := after.share(before)
	if !known || share <= 0 || share > 1 || after.own <= before.own || after.all < before.all {
		t.Errorf("share %v, %v of %+v to %+v", share, known, before, after)
	}
}

func TestParseStat(t *testing.T) {
	busy, all, err := parseStat("cpu  10 20 30 400 50 6 7 8 0 0\ncpu0 1 2")
	if busy != 810*time.Millisecond || all != 5310*time.Millisecond || err != nil {
		t.Errorf("%v of %v, %v", busy, all, err)
	}
	for _, line := range []string{"", "cpu", "intr 1 2 3", "cpu a b"} {
		if _, _, err := parseStat(line); err == nil {
			t.Errorf("%q is read", line)
		}
	}
}
