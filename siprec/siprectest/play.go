package siprectest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// StartMedia starts every stream; Invite does it unless the spec says otherwise. Further calls do nothing.
func (c *Call) StartMedia() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.epoch.IsZero() {
		return
	}
	c.epoch = time.Now()
	for _, l := range c.lines {
		if l.stream != nil {
			l.stream.start(c.client.pacer(), c.epoch)
		}
	}
}

// StopMedia stops every stream: when it returns nothing more is sent.
func (c *Call) StopMedia() {
	for _, s := range c.streams() {
		s.stop(0)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mediaEnd.IsZero() {
		c.mediaEnd = time.Now()
	}
}

// Play lets the media run until d after they started, and does what the spec's Timeline says meanwhile; d of 0 means until
// every source has ended. Exactly the frames that begin before d are sent. It returns early when the session ends or the
// context does.
func (c *Call) Play(ctx context.Context, d time.Duration) error {
	c.StartMedia()
	streams := c.streams()
	if d > 0 {
		for _, s := range streams {
			s.stop(d)
		}
	}
	c.mu.Lock()
	epoch := c.epoch
	c.mu.Unlock()
	events := slices.Clone(c.spec.Timeline)
	slices.SortStableFunc(events, func(a, b Event) int { return int(a.At - b.At) })
	for _, e := range events {
		if d > 0 && e.At >= d {
			break
		}
		if err := c.until(ctx, epoch.Add(e.At)); err != nil {
			return fmt.Errorf("play: %w", err)
		}
		if err := e.Do(ctx, c); err != nil {
			return fmt.Errorf("play, at %v: %w", e.At, err)
		}
	}
	if d > 0 {
		if err := c.until(ctx, epoch.Add(d)); err != nil {
			return fmt.Errorf("play: %w", err)
		}
	}
	for _, s := range streams {
		select {
		case <-s.done:
		case <-c.ended:
			return fmt.Errorf("play: %w", ErrEnded)
		case <-ctx.Done():
			return fmt.Errorf("play: %w", ctx.Err())
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d > 0 && c.mediaEnd.IsZero() {
		c.mediaEnd = epoch.Add(d)
	}
	return nil
}

// until waits for an instant of the call.
func (c *Call) until(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.ended:
		return errors.Join(ErrEnded, errors.New(c.End().Reason))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Truth tells what was sent so far.
func (c *Call) Truth() Truth {
	streams := c.streams()
	c.mu.Lock()
	t := Truth{Start: c.epoch}
	switch {
	case c.epoch.IsZero():
	case c.mediaEnd.IsZero():
		t.Length = time.Since(c.epoch)
	default:
		t.Length = c.mediaEnd.Sub(c.epoch)
	}
	c.mu.Unlock()
	for _, s := range streams {
		t.Streams = append(t.Streams, s.snapshot())
	}
	return t
}
