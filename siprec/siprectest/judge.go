package siprectest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/greffier/greffier/siprec"
)

// A Report says how a recording compares with what was sent.
type Report struct {
	Channels []ChannelReport
	// Offset is where Truth.Start is in the recording: the median over all onsets. Positive: the recording has this much
	// before it.
	Offset time.Duration
	// Misalignment is the largest difference between two channels' offsets at the same time of the call.
	Misalignment time.Duration
	Length       time.Duration // of the recording
	// LengthError is the recording's length less the time from the first frame that was sent on any stream to the end of
	// the last.
	LengthError time.Duration
}

// A ChannelReport says how one channel compares with the stream that should be on it.
type ChannelReport struct {
	Label    siprec.Label
	Expected int // onsets that were sent undamaged
	Found    int // of these, how many are there
	Missing  int
	Wrong    int // onsets of another stream's frequency on this channel
	Extra    int // onsets of the right frequency that were never sent
	// Offset is where Truth.Start is by this channel alone; Deviation is the furthest that one onset is from it.
	Offset    time.Duration
	Deviation time.Duration
}

// Limits are what a recording may be off by.
type Limits struct {
	Misalignment, Deviation, Length time.Duration
	Missing                         int // onsets per channel
}

// DefaultLimits are those that every recording has to keep.
var DefaultLimits = Limits{Misalignment: 20 * time.Millisecond, Deviation: 20 * time.Millisecond, Length: 20 * time.Millisecond}

const (
	// maxOffset is how far the recording's start may be from the first packet's epoch for the judge to find its way.
	maxOffset = 10 * time.Second
	// matchWithin is how near a found onset must be to the expected instant while the judge looks for the offset.
	matchWithin = 30 * time.Millisecond
	// anchors is how many onsets of each channel vote for the offset.
	anchors = 12
)

// Compare judges a recording: channels[i] must hold the stream labels[i]. The streams' sources must be Bursts of different
// frequencies, whose bursts are as far apart as the largest error that is to be told from a smaller one.
func Compare(channels [][]int16, rate int, labels []siprec.Label, truth Truth) Report {
	r := Report{}
	var frequencies []float64
	for _, s := range truth.Streams {
		if s.Frequency > 0 && !slices.Contains(frequencies, s.Frequency) {
			frequencies = append(frequencies, s.Frequency)
		}
	}
	tracks := make([]track, len(channels))
	for i, samples := range channels {
		r.Length = max(r.Length, time.Duration(len(samples))*time.Second/time.Duration(rate))
		tracks[i].channel = ChannelReport{}
		if i < len(labels) {
			tracks[i].channel.Label = labels[i]
		}
		for _, s := range truth.Streams {
			if s.Label == tracks[i].channel.Label {
				tracks[i].truth = s
			}
		}
		for _, o := range Detect(samples, rate, frequencies...) {
			if o.Frequency == tracks[i].truth.Frequency {
				tracks[i].found = append(tracks[i].found, o.At)
			} else {
				tracks[i].channel.Wrong++
			}
		}
	}
	guess := vote(tracks)
	var all []time.Duration
	for i := range tracks {
		tracks[i].match(guess)
		all = append(all, tracks[i].offsets()...)
		r.Channels = append(r.Channels, tracks[i].channel)
	}
	r.Offset = median(all)
	r.Misalignment = misalignment(tracks)
	r.LengthError = r.Length - sentLength(truth)
	return r
}

// sentLength is the time from the first frame of any stream to the end of the last.
func sentLength(truth Truth) time.Duration {
	first, last := time.Duration(math.MaxInt64), time.Duration(0)
	for _, s := range truth.Streams {
		if s.Fates[Sent] > 0 {
			first, last = min(first, s.First), max(last, s.Last)
		}
	}
	return max(0, last-first)
}

// A track is one channel and the stream that should be on it.
type track struct {
	channel ChannelReport
	truth   StreamTruth
	found   []time.Duration
	pairs   []pair
}

// A pair is an onset that was sent and found.
type pair struct{ sent, found time.Duration }

func (t *track) offsets() []time.Duration {
	out := make([]time.Duration, len(t.pairs))
	for i, p := range t.pairs {
		out[i] = p.found - p.sent
	}
	return out
}

// audible lists the onsets that a recording may have.
func (t *track) audible() []time.Duration {
	var out []time.Duration
	for _, o := range t.truth.Onsets {
		if o.Clean {
			out = append(out, o.At)
		}
	}
	return out
}

// vote finds the offset that explains most onsets of all channels; of equals, the smallest.
func vote(tracks []track) time.Duration {
	var best time.Duration
	score := -1
	for i := range tracks {
		for _, f := range tracks[i].found[:min(anchors, len(tracks[i].found))] {
			for _, s := range tracks[i].audible() {
				o := f - s
				if o.Abs() > maxOffset {
					continue
				}
				n := 0
				for k := range tracks {
					n += tracks[k].near(o)
				}
				if n > score || n == score && o.Abs() < best.Abs() {
					best, score = o, n
				}
			}
		}
	}
	return best
}

// near counts the onsets that the offset explains.
func (t *track) near(offset time.Duration) int {
	n := 0
	for _, s := range t.audible() {
		if _, d, ok := nearest(t.found, s+offset); ok && d <= matchWithin {
			n++
		}
	}
	return n
}

func nearest(sorted []time.Duration, at time.Duration) (i int, distance time.Duration, ok bool) {
	i, _ = slices.BinarySearch(sorted, at)
	switch {
	case len(sorted) == 0:
		return 0, 0, false
	case i == len(sorted) || i > 0 && at-sorted[i-1] < sorted[i]-at:
		i--
	}
	return i, (sorted[i] - at).Abs(), true
}

// match pairs the onsets that were sent with those that were found, each with the nearest within half a period.
func (t *track) match(guess time.Duration) {
	audible := t.audible()
	t.channel.Expected = len(audible)
	within := time.Duration(math.MaxInt64)
	for i := 1; i < len(t.truth.Onsets); i++ {
		within = min(within, (t.truth.Onsets[i].At-t.truth.Onsets[i-1].At)/2)
	}
	used := map[int]bool{}
	for _, s := range audible {
		if i, d, ok := nearest(t.found, s+guess); ok && d < within && !used[i] {
			used[i] = true
			t.pairs = append(t.pairs, pair{s, t.found[i]})
		}
	}
	t.channel.Found = len(t.pairs)
	t.channel.Missing = len(audible) - len(t.pairs)
	for i, f := range t.found {
		if used[i] {
			continue
		}
		// A damaged burst may be found, late or in pieces, where it was sent; anything else was made up.
		damaged := slices.ContainsFunc(t.truth.Onsets, func(o OnsetTruth) bool {
			return !o.Clean && (f-o.At-guess).Abs() < within
		})
		if !damaged {
			t.channel.Extra++
		}
	}
	offsets := t.offsets()
	t.channel.Offset = median(offsets)
	for _, o := range offsets {
		t.channel.Deviation = max(t.channel.Deviation, (o - t.channel.Offset).Abs())
	}
}

// misalignment compares each onset's offset with that of the other channels' onsets nearest in time.
func misalignment(tracks []track) time.Duration {
	var worst time.Duration
	for i := range tracks {
		for k := i + 1; k < len(tracks); k++ {
			sent := make([]time.Duration, len(tracks[k].pairs))
			for n, p := range tracks[k].pairs {
				sent[n] = p.sent
			}
			for _, p := range tracks[i].pairs {
				if n, _, ok := nearest(sent, p.sent); ok {
					q := tracks[k].pairs[n]
					worst = max(worst, ((p.found - p.sent) - (q.found - q.sent)).Abs())
				}
			}
		}
	}
	return worst
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.SortedFunc(slices.Values(d), cmp.Compare[time.Duration])
	return s[len(s)/2]
}

// Problems says in words what is beyond the limits; it is empty for a good recording.
func (r Report) Problems(l Limits) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for i, c := range r.Channels {
		if c.Wrong > 0 {
			say("channel %d (label %q) has %d bursts of another stream", i, c.Label, c.Wrong)
		}
		if c.Expected == 0 {
			say("channel %d (label %q): nothing was sent that could be looked for", i, c.Label)
		}
		if c.Missing > l.Missing {
			say("channel %d (label %q) lacks %d of %d bursts", i, c.Label, c.Missing, c.Expected)
		}
		if c.Extra > 0 {
			say("channel %d (label %q) has %d bursts that were not sent", i, c.Label, c.Extra)
		}
		if c.Deviation > l.Deviation {
			say("channel %d (label %q) wanders by %v, more than %v", i, c.Label, c.Deviation, l.Deviation)
		}
	}
	if r.Misalignment > l.Misalignment {
		say("channels are %v apart, more than %v", r.Misalignment, l.Misalignment)
	}
	if r.LengthError.Abs() > l.Length {
		say("length %v is off by %v, more than %v", r.Length, r.LengthError, l.Length)
	}
	return out
}

// Check is Problems as one error, nil for a good recording.
func (r Report) Check(l Limits) error {
	if p := r.Problems(l); len(p) > 0 {
		return fmt.Errorf("recording is not what was sent: %s", strings.Join(p, "; "))
	}
	return nil
}
