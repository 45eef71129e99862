package storage

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// clockReader notes by each answer how far the service's clock is ahead of ours.
type clockReader struct {
	http.RoundTripper
	off atomic.Int64 // nanoseconds, as of the last answer with a date
}

// RoundTrip implements http.RoundTripper.
func (c *clockReader) RoundTrip(r *http.Request) (*http.Response, error) {
	before := time.Now()
	resp, err := c.RoundTripper.RoundTrip(r)
	if err != nil {
		return resp, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.off.Store(int64(date.Sub(before)))
	}
	return resp, nil
}

// check is an error if the clocks are too far apart.
func (c *clockReader) check() error {
	off := time.Duration(c.off.Load())
	if off.Abs() <= MaxClockSkew {
		return nil
	}
	return fmt.Errorf("the service's clock and this machine's differ by %v, at most %v are allowed: set this machine's clock, and keep it by NTP",
		off.Abs().Round(time.Minute), MaxClockSkew)
}
