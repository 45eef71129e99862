package siprectest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// A LoadSpec is a number of calls to open at a rate.
type LoadSpec struct {
	Calls    int
	Rate     float64       // calls opened per second; 0: all at once
	Duration time.Duration // of each call's media
	// Call describes call i; nil: TwoParty with bursts of 440 Hz and 880 Hz each second.
	Call func(i int) CallSpec
	// Grace is how long one call's signalling may take in all, beyond Duration; default 40 s.
	Grace time.Duration
	// Each, when set, is called with each result as its call ends, by one goroutine at a time.
	Each func(Result)
}

// A Result is what became of one call of a load.
type Result struct {
	Index  int
	CallID string
	Dialog string        // the SRS's tag
	Setup  time.Duration // from the INVITE's first byte to its final answer
	Err    error         // nil: answered, played to the end and hung up
	Truth  Truth         // zero when it was not answered
}

// A LoadReport sums a load up.
type LoadReport struct {
	Calls, Answered, Completed int
	Failed                     int            // not answered, or not played to the end
	Statuses                   map[int]int    // refusals by SIP status
	Errors                     map[string]int // other failures by their text
	SetupP50, SetupP99         time.Duration  // INVITE to 200, of the calls that were answered
	SetupMax                   time.Duration
	Packets                    int64         // RTP packets sent
	SendErrorMean, SendError   time.Duration // how much later than planned packets were sent: mean, and the worst
	Elapsed                    time.Duration
	Results                    []Result // by Index
}

// loadGrace covers a whole transaction timeout and a hang-up.
const loadGrace = 40 * time.Second

// Load opens the calls, plays each, hangs each up, and waits for all. It ends in bounded time: the last call's start plus
// Duration and Grace. The context's end cancels and hangs up what is under way.
func (c *Client) Load(ctx context.Context, spec LoadSpec) LoadReport {
	if spec.Call == nil {
		spec.Call = func(int) CallSpec {
			return TwoParty(Bursts(440, time.Second, 100*time.Millisecond), Bursts(880, time.Second, 100*time.Millisecond))
		}
	}
	if spec.Grace == 0 {
		spec.Grace = loadGrace
	}
	began := time.Now()
	results := make([]Result, spec.Calls)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range spec.Calls {
		if !pace(ctx, began, i, spec.Rate) {
			results[i] = Result{Index: i, Err: ctx.Err()}
			continue
		}
		wg.Go(func() {
			results[i] = c.one(ctx, i, spec)
			if spec.Each != nil {
				mu.Lock()
				defer mu.Unlock()
				spec.Each(results[i])
			}
		})
	}
	wg.Wait()
	r := sum(results)
	r.Elapsed = time.Since(began)
	return r
}

// pace waits for the instant of call i.
func pace(ctx context.Context, began time.Time, i int, rate float64) bool {
	if rate > 0 {
		timer := time.NewTimer(time.Until(began.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

// one is the whole life of one call.
func (c *Client) one(ctx context.Context, i int, spec LoadSpec) Result {
	res := Result{Index: i}
	limited, cancel := context.WithTimeout(ctx, spec.Duration+spec.Grace)
	defer cancel()
	p, err := c.Begin(limited, spec.Call(i))
	if err != nil {
		res.Err = err
		return res
	}
	res.CallID = p.call.id
	call, err := p.Wait(limited)
	if err != nil {
		res.Err = err
		return res
	}
	res.Setup, res.Dialog = p.setup, call.Dialog().LocalTag
	err = call.Play(limited, spec.Duration)
	// The hang-up has its own time: it is owed even when the load is called off.
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), spec.Grace)
	defer cancel()
	if bye := call.Bye(own, nil); !errors.Is(bye, ErrEnded) {
		err = errors.Join(err, bye)
	}
	res.Err, res.Truth = err, call.Truth()
	return res
}

func sum(results []Result) LoadReport {
	r := LoadReport{Calls: len(results), Statuses: map[int]int{}, Errors: map[string]int{}, Results: results}
	var setups []time.Duration
	var lateness time.Duration
	for _, res := range results {
		if !res.Truth.Start.IsZero() {
			r.Answered++
			setups = append(setups, res.Setup)
		}
		switch status := Status(res.Err); {
		case res.Err == nil:
			r.Completed++
		case status != 0:
			r.Statuses[status]++
		default:
			r.Errors[res.Err.Error()]++
		}
		for _, s := range res.Truth.Streams {
			n := s.Fates[Sent] + s.Fates[Keyed] + s.Duplicates
			r.Packets += n
			lateness += s.MeanError * time.Duration(n)
			r.SendError = max(r.SendError, s.MaxError)
		}
	}
	r.Failed = r.Calls - r.Completed
	if r.Packets > 0 {
		r.SendErrorMean = lateness / time.Duration(r.Packets)
	}
	if slices.Sort(setups); len(setups) > 0 {
		r.SetupP50, r.SetupP99 = percentile(setups, 50), percentile(setups, 99)
		r.SetupMax = setups[len(setups)-1]
	}
	return r
}

// percentile is the smallest value that p percent of the values do not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}
