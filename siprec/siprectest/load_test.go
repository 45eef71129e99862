package siprectest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

func TestLoad(t *testing.T) {
	transports(t, func(t *testing.T, u *uas) {
		order := map[string]int{} // by Call-ID: an INVITE that comes again is not another
		var mu sync.Mutex
		u.script(func(r request) []string {
			mu.Lock()
			defer mu.Unlock()
			id := r.h.Get("Call-Id")
			if _, ok := order[id]; !ok {
				order[id] = len(order) + 1
			}
			if r.method == "INVITE" && order[id]%5 == 0 {
				return []string{u.response(r, 503, "Full", "", "Retry-After: 1")}
			}
			return nil
		})
		c := dial(t, u, siprectest.Config{})
		each := 0
		r := c.Load(limited(t), siprectest.LoadSpec{Calls: 50, Rate: 200, Duration: 500 * time.Millisecond, Each: func(siprectest.Result) { each++ }})
		if r.Calls != 50 || r.Answered != 40 || r.Completed != 40 || r.Failed != 10 || r.Statuses[503] != 10 || len(r.Errors) != 0 || each != 50 {
			t.Errorf("%d calls, %d answered, %d completed, %d failed, %v, %v", r.Calls, r.Answered, r.Completed, r.Failed, r.Statuses, r.Errors)
		}
		if r.Packets != 40*2*25 {
			t.Errorf("%d packets, not %d", r.Packets, 40*2*25)
		}
		if r.SetupP50 <= 0 || r.SetupP99 < r.SetupP50 || r.SetupMax < r.SetupP99 {
			t.Errorf("latencies %v %v %v", r.SetupP50, r.SetupP99, r.SetupMax)
		}
		t.Logf("setup p50 %v p99 %v, send error mean %v worst %v", r.SetupP50, r.SetupP99, r.SendErrorMean, r.SendError)
	})
}

// TestLoadOfManyCallsAtOnce opens 400 calls on one client without a pause.
func TestLoadOfManyCallsAtOnce(t *testing.T) {
	u := newUAS(t, "udp")
	c := dial(t, u, siprectest.Config{})
	r := c.Load(limited(t), siprectest.LoadSpec{Calls: 400, Duration: time.Second})
	if r.Completed != 400 || r.Packets != 400*2*50 {
		t.Errorf("%d completed, %d packets, %v %v", r.Completed, r.Packets, r.Statuses, r.Errors)
	}
	t.Logf("setup p50 %v p99 %v, send error mean %v worst %v, in %v", r.SetupP50, r.SetupP99, r.SendErrorMean, r.SendError, r.Elapsed)
}

func TestLoadEndsWhenTheServerIsSilent(t *testing.T) {
	u := newUAS(t, "udp")
	u.script(func(request) []string { return []string{} })
	c := dial(t, u, siprectest.Config{T1: 3 * time.Millisecond})
	r := c.Load(limited(t), siprectest.LoadSpec{Calls: 20, Duration: time.Minute})
	if r.Failed != 20 || len(r.Errors) != 1 {
		t.Errorf("%d failed: %v", r.Failed, r.Errors)
	}
}

func TestLoadThatIsCalledOffHangsUp(t *testing.T) {
	u := newUAS(t, "udp")
	c := dial(t, u, siprectest.Config{})
	ctx, cancel := context.WithCancel(limited(t))
	go func() {
		defer cancel()
		for answered := map[string]bool{}; len(answered) < 5; { // an answer that was sent again is acknowledged again
			r, ok := u.next("ACK")
			if !ok {
				return
			}
			answered[r.h.Get("Call-Id")] = true
		}
	}()
	r := c.Load(ctx, siprectest.LoadSpec{Calls: 5, Duration: time.Hour})
	if r.Answered != 5 || r.Completed != 0 {
		t.Errorf("%d answered, %d completed", r.Answered, r.Completed)
	}
	for range 5 {
		u.wait("BYE")
	}
}
