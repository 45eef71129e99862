package media_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greffier/greffier/media"
)

// A slowSink takes long for its first block, by the clock of the test's bubble: nobody waits.
type slowSink struct {
	once sync.Once
	took time.Duration
}

func (s *slowSink) Append(*media.Block) error {
	s.once.Do(func() { time.Sleep(s.took) })
	return nil
}

// A stall of several intervals shows in the figures as what it was.
func TestDelayOfStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := media.NewReceiver(media.Config{Receivers: 1})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		const stall = 7 * time.Second
		rec := openRecording(t, r, &slowSink{took: stall}, pcmu(0))
		time.Sleep(time.Minute) // of the bubble's clock
		if d := r.Stats().MaxDelay; d > stall || d < stall-time.Second {
			t.Errorf("a stall of %v is a delay of %v", stall, d)
		}
		closeRecording(t, rec)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
