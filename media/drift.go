package media

const (
	// driftWindow is how long the promptest packet is sought: jitter bursts are shorter.
	driftWindow = 4000 * ms
	// driftFirst is the first window: an anchor that was set in a bad moment is found soon. Each is twice as long as the one before,
	// up to driftWindow.
	driftFirst = 500 * ms
	// driftTrigger is the lateness of the promptest packet of a window, either way, that is taken for drift.
	driftTrigger = 3 * ms
	// driftStep is the most that a full window may correct: 2,000 ppm. A path whose delay changes is followed slowly, so that an
	// outlier does no harm.
	driftStep = 8 * ms
	// driftPackets is the least number of packets in a window.
	driftPackets = 3
	// driftKnown is how long a clock must be watched before its rate is said.
	driftKnown = 30 * Rate
	// paceTime and pacePackets are for how long packets of another length are watched, to tell how the sender sends them.
	paceTime    = 1000 * ms
	pacePackets = 8
	// sameLength is how much packets of one length may differ, in samples.
	sameLength = 2 * ms
)

// The pace says when a sender sends a packet. It matters only when the length of packets changes.
type pace uint8

const (
	paceUnknown pace = iota
	paceEnd          // when its last sample is there: a telephone
	paceStart        // when its first one is due: a file that is played
)

// Drift watches how late the promptest packets are, window by window, and says by how much the anchor is to move.
type drift struct {
	pending int64 // samples to correct, positive: later
	moved   int64 // samples corrected so far
	since   int64 // position of arrival of the first packet watched
	last    int64 // of the newest

	begun    int64 // position of arrival at which the window began
	window   int64 // its length
	prompt   prompt
	previous int64 // the last window's least
	has      bool  // previous is known

	pace   pace
	length int64 // of the packets that the anchor was set by
	other  struct{ begun, end, start, seen int64 }
}

// reset begins anew with an anchor that was set by a packet of this length.
func (d *drift) reset(at, length int64) {
	*d = drift{since: at, last: at, begun: at, window: driftFirst, length: length, pace: d.pace}
}

// correct asks for a correction that came from elsewhere.
func (d *drift) correct(samples int64) {
	d.pending += samples
}

// sample takes the lateness of a packet's end; clean says that no packet before it is missing.
func (d *drift) sample(at, late, length int64, clean bool) {
	if longer := length - d.length; longer > sameLength || longer < -sameLength {
		switch d.pace {
		case paceUnknown:
			d.watch(at, late, longer)
			return
		case paceStart:
			late += longer
		}
	}
	d.last = at
	d.prompt.add(late, clean)
	if at-d.begun < d.window {
		return
	}
	if least, packets := d.prompt.least(); packets >= driftPackets {
		d.close(at, least)
	}
}

// close ends a window. Packets that come too early are proof at once: none can come before it was sent. Packets that come too
// late are believed when two windows agree.
func (d *drift) close(at, least int64) {
	if d.pending == 0 {
		switch both := min(least, d.previous); {
		case least < -driftTrigger && d.window < driftWindow:
			d.pending = least
		case least < -driftTrigger:
			d.pending = max(least, -driftStep)
		case d.has && both > driftTrigger:
			d.pending = min(both, driftStep)
		}
	}
	d.previous, d.has = least, true
	d.begun, d.prompt, d.window = at, prompt{}, min(2*d.window, driftWindow)
}

// step is what is to be corrected at one packet: a single sample, or a few when it is much.
func (d *drift) step() int64 {
	most := min(maxRepeat, 1+magnitude(d.pending)/(10*ms))
	return max(-most, min(most, d.pending))
}

// applied is told that the anchor moved.
func (d *drift) applied(samples int64) {
	d.pending -= samples
	d.moved += samples
	d.prompt.shift(samples)
	d.previous -= samples
}

// watch finds the pace from the first packets of another length: at the one pace their ends are prompt, at the other their
// starts.
func (d *drift) watch(at, late, longer int64) {
	o := &d.other
	if o.seen == 0 {
		o.begun, o.end, o.start = at, late, late+longer
	}
	o.end, o.start = min(o.end, late), min(o.start, late+longer)
	o.seen++
	if at-o.begun < paceTime || o.seen < pacePackets {
		return
	}
	d.pace = paceEnd
	if magnitude(o.start) < magnitude(o.end) {
		d.pace = paceStart
	}
	d.begun, d.prompt, d.has = at, prompt{}, false
}

// ppm is by how much the sender's clock runs faster than ours, in millionths; 0 as long as it is not known.
func (d *drift) ppm() float64 {
	elapsed := d.last - d.since
	if elapsed < driftKnown {
		return 0
	}
	moved := d.moved
	if d.has {
		moved += d.previous
	}
	return -float64(moved) / float64(elapsed) * 1e6
}

func magnitude(n int64) int64 {
	return max(n, -n)
}
