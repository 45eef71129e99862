package siprectest

import (
	"time"

	"github.com/greffier/greffier/siprec"
)

// Truth is what a call really sent: what a recording of it is judged by.
type Truth struct {
	Start   time.Time     // the call's epoch: position 0 of every source
	Length  time.Duration // from Start to the end of the media; grows while the call lasts
	Streams []StreamTruth // in the order of the m-lines
}

// StreamTruth is what one stream sent. Instants are from Truth.Start.
type StreamTruth struct {
	Label     siprec.Label
	Frequency float64 // of the source's bursts; 0 when it has none
	Onsets    []OnsetTruth
	First     time.Duration // beginning of the first frame sent
	Last      time.Duration // end of the last frame sent

	Frames     int64          // frames that were due
	Fates      map[Fate]int64 // what became of them
	Duplicates int64          // second copies sent
	Delayed    int64          // packets sent late on purpose: jitter, reordering
	Bytes      int64          // RTP bytes sent, headers included

	Presses []PressTruth // keys that were pressed

	MeanError, MaxError time.Duration // how much later than planned packets were sent
	ReceiverReports     int64         // RTCP report blocks received about this stream
	SenderReports       int64         // RTCP sender reports sent
	Packets             []Packet      // with StreamSpec.KeepPackets
	Security            error         // why checks or the handshake failed; nil also without any
}

// An OnsetTruth is the beginning of a burst.
type OnsetTruth struct {
	At   time.Duration
	Fate Fate // of the frame that holds it
	// Clean says that nothing was missing in the onset's first frames, so that a recording must have it exactly here.
	Clean bool
}

// A Packet is one frame's packet. Sequence and Timestamp mean something when the frame took a sequence number.
type Packet struct {
	Frame     int64
	Fate      Fate
	SSRC      uint32
	Sequence  uint16
	Timestamp uint32
	Planned   time.Time
	Sent      time.Time // zero when it was not
}

// onsetGuard is how much after an onset must be there for it to be clean: as much as finding it needs.
const onsetGuard = 40 * time.Millisecond

// onsets notes the onsets in a frame and spoils those that a missing frame follows.
type onsets struct {
	source onsetSource // nil: none
	all    []OnsetTruth
}

func (o *onsets) note(from, to int64, fate Fate) {
	if o.source == nil {
		return
	}
	for i := len(o.all) - 1; i >= 0 && fate != Sent; i-- {
		if duration(from)-o.all[i].At >= onsetGuard {
			break
		}
		o.all[i].Clean = false
	}
	for _, p := range o.source.Onsets(from, to) {
		o.all = append(o.all, OnsetTruth{At: duration(p), Fate: fate, Clean: fate == Sent})
	}
}
