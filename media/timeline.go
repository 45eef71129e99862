package media

import (
	"net/netip"

	"github.com/greffier/greffier/media/codec"
)

// Lengths of the timeline, in positions unless they say otherwise.
const (
	ms = Rate / 1000

	// preroll is how far the timeline begins before the recording's start: the first packet ends with its arrival, what it
	// holds was spoken before.
	preroll = 200 * ms
	// commitDelay is how long a position waits for packets that others overtook.
	commitDelay = 400 * ms
	// cutInterval is the least that is committed at once, but for the end. It is less than the interval of drains, so that one
	// that comes early commits too: what a crash costs is one interval and the commit delay.
	cutInterval = 300 * ms
	// LateLimit is how long a packet may still fill silence that was committed.
	LateLimit = 5000 * ms
	// maxPacket is the longest packet that is placed; RFC 3551 section 4.2 has 200 ms as the most that a receiver must take.
	maxPacket = 500 * ms
	// maxSilence is the most that is committed at once when the clock leaps; the rest is left out, and is silence all the same.
	maxSilence = 3600 * Rate
	// maxEpochs bounds the changes (hold, pause) that are remembered for packets that come later.
	maxEpochs = 64

	nanosPerSample = 1e9 / Rate
	// maxElapsed keeps times far from overflow: 146 years.
	maxElapsed = 1 << 62
)

// A timeline places the packets of one recording's streams and commits them to a sink. It is pure: every time is an argument,
// in nanoseconds on one clock. One goroutine at a time uses it.
//
// A position is an eighth of a millisecond since the recording's start. A packet belongs where its RTP timestamp says, relative to its stream's
// anchor; the anchor is set so that the promptest packet ends with its arrival (a packet is sent when its audio is complete).
type timeline struct {
	start     int64 // of position 0, in nanoseconds
	sink      Sink
	channels  []*channel
	streams   []*stream
	epochs    []epoch        // ascending; the last one is in force
	encoding  codec.Encoding // of the rings; 0: nothing is placed yet
	density   int            // samples for each position of the rings: 1 until sound of a higher rate comes
	most      int            // the highest density
	committed int64          // positions before it are given to the sink
	least     int64          // positions before it are never given

	block   Block // scratch, given to the sink
	scratch []byte
	work    workspace

	sinkErrors uint64
	sinkError  error
	unsaved    int64
}

// An epoch is a time during which nothing was held, resumed, paused or added.
type epoch struct {
	at      int64 // in nanoseconds
	pos     int64 // the same as a position
	paused  bool
	cause   Cause
	streams []terms
}

// Terms are what holds for one stream in an epoch.
type terms struct {
	Stream
	allowed bool  // what arrives is kept
	floor   int64 // positions before it were paused or inactive: nothing that arrives in this epoch goes there
	resumed int   // how many times the stream was allowed again
	ceded   bool  // it went to another timeline: what follows is the end, and no hold
}

// find gives the format of a payload type that is placed; nil for others.
func (t *terms) find(payloadType uint8) *Format {
	for i := range t.Formats {
		if f := &t.Formats[i]; f.PayloadType == payloadType && f.Codec.ClockRate > 0 {
			return f
		}
	}
	return nil
}

func (t *terms) accepts(src netip.Addr) bool {
	if t.AnySource {
		return true
	}
	for i := range t.Addrs {
		if t.Addrs[i] == src {
			return true
		}
	}
	return false
}

// newTimeline begins a recording at start. There is at least one channel; streams beyond MaxChannels are ignored.
func newTimeline(start int64, channels int, streams []Stream, sink Sink) *timeline {
	t := &timeline{start: start, sink: sink, committed: -preroll, least: -preroll, density: 1, most: MaxRate / Rate}
	t.widen(max(channels, 1))
	t.enter(epoch{at: start - maxElapsed/2, pos: -preroll}, streams)
	return t
}

func (t *timeline) widen(channels int) {
	for len(t.channels) < min(channels, MaxChannels) {
		t.channels = append(t.channels, newChannel())
	}
}

// notBefore has nothing kept that was spoken before position 0. It is called before the first packet.
func (t *timeline) notBefore() {
	t.least = 0
	for i := range t.epochs[0].streams {
		t.epochs[0].streams[i].floor = 0
	}
}

// position is where an instant is on the timeline.
func (t *timeline) position(at int64) int64 {
	d := at - t.start
	if (d > 0) != (at > t.start) {
		d = 0 // overflow: no clock says this
	}
	if d < 0 {
		return -((-d + nanosPerSample - 1) / nanosPerSample)
	}
	return d / nanosPerSample
}

// update changes the streams for packets that arrive at or after at.
func (t *timeline) update(at int64, streams []Stream) {
	last := &t.epochs[len(t.epochs)-1]
	t.enter(epoch{at: at, pos: t.position(at), paused: last.paused, cause: last.cause}, streams)
}

// pause discards what arrives at or after at, or ends that.
func (t *timeline) pause(at int64, on bool, cause Cause) {
	last := &t.epochs[len(t.epochs)-1]
	streams := make([]Stream, len(last.streams))
	for i := range streams {
		streams[i] = last.streams[i].Stream
	}
	if cause == "" {
		cause = CausePaused
	}
	t.enter(epoch{at: at, pos: t.position(at), paused: on, cause: cause}, streams)
}

// enter begins an epoch. Times never go back: an epoch begins no earlier than the one before.
func (t *timeline) enter(e epoch, streams []Stream) {
	var before []terms
	if n := len(t.epochs); n > 0 {
		last := &t.epochs[n-1]
		before = last.streams
		if e.at < last.at {
			e.at, e.pos = last.at, last.pos
		}
	}
	e.streams = make([]terms, 0, len(streams))
	for i, s := range streams {
		s.Channel = max(0, min(s.Channel, MaxChannels-1))
		t.widen(s.Channel + 1)
		n := terms{Stream: s, allowed: s.Active && !e.paused, floor: t.least}
		if i < len(before) {
			n.floor, n.resumed = before[i].floor, before[i].resumed
			if before[i].allowed && !n.allowed {
				t.revoke(t.streams[i], t.channels[s.Channel], e.at)
			}
			if !before[i].allowed {
				n.floor = max(n.floor, e.pos)
				if n.allowed {
					n.resumed++
				}
			}
		}
		e.streams = append(e.streams, n)
		if i >= len(t.streams) {
			t.streams = append(t.streams, &stream{})
		}
		e.streams[i].ceded = t.streams[i].ceded
		t.streams[i].stats.Channel = s.Channel
	}
	t.epochs = append(t.epochs, e)
	if len(t.epochs) > maxEpochs {
		t.epochs = append(t.epochs[:0], t.epochs[1:]...)
	}
}

// epochAt is the epoch that an arrival belongs to.
func (t *timeline) epochAt(arrival int64) *epoch {
	i := len(t.epochs) - 1
	for i > 0 && t.epochs[i].at > arrival {
		i--
	}
	return &t.epochs[i]
}

// forget drops the epochs that neither a packet nor a cause will ask for any more.
func (t *timeline) forget(drained int64) {
	old := 0
	for old+1 < len(t.epochs) && t.epochs[old+1].at <= drained && t.epochs[old+1].pos <= t.committed {
		old++
	}
	if old > 0 {
		t.epochs = append(t.epochs[:0], t.epochs[old:]...)
	}
}

// refusal is why nothing is kept of a channel at a position; "" when something may be.
func (e *epoch) refusal(channel int) Cause {
	if e.paused {
		return e.cause
	}
	found := false
	for i := range e.streams {
		if e.streams[i].Channel == channel && !e.streams[i].ceded {
			if e.streams[i].Active {
				return ""
			}
			found = true
		}
	}
	if found {
		return CauseInactive
	}
	return ""
}
