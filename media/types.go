package media

import (
	"net/netip"
	"time"

	"github.com/greffier/greffier/media/codec"
)

// Rate is the rate at which positions count, in hertz: that of G.711. A recording whose sound comes at a higher rate has a whole
// number of samples for each position.
const Rate = 8000

// MaxRate is the highest sample rate of a recording, in hertz: that of Opus (RFC 7587 section 4.1).
const MaxRate = 48000

// MaxChannels is the most channels that one recording may have. It bounds the
// memory of a recording and the size of a block.
const MaxChannels = 32

// A Format is an RTP payload type whose packets are placed on the timeline.
type Format struct {
	PayloadType uint8
	Codec       codec.Codec
	Params      string // a=fmtp that the codec was looked up with, and
	Channels    int    // how many it has: other values are another decoder
}

// MaxFormats is how many formats a stream may have. The formats after these are not placed.
const MaxFormats = 16

// A Stream says what is received for one m-line.
type Stream struct {
	// Channel is the index in the recording. It never changes for a label.
	Channel int
	// Addrs are the offered addresses. Packets from others are counted and
	// dropped. The port is not checked: relays send from ports that they did
	// not offer, and change them in mid-call.
	Addrs []netip.Addr
	// AnySource accepts packets from every address.
	AnySource bool
	// RTCP is where receiver reports go; the zero value sends none.
	RTCP netip.AddrPort
	// RTCPMux says that RTCP shares the RTP port (RFC 5761).
	RTCPMux bool
	// Formats are the payload types that are placed. Others are counted and
	// dropped; telephone-event must not be among them, so that digits are
	// never stored.
	Formats []Format
	// Security says how the stream is protected.
	Security Security
	// ICE answers connectivity checks; nil does not.
	ICE *ICE
	// Active false discards what arrives (hold, a=inactive, RFC 3264 section
	// 8.4); the gap's cause is CauseInactive.
	Active bool
}

// A Cause says why a run of a channel is silence that nobody sent. Causes are
// stored with the recording; they are never renamed.
type Cause string

// The causes of a gap.
const (
	CauseNotStarted Cause = "not_started" // before the first packet of the stream
	CauseLost       Cause = "lost"        // sequence numbers are missing, or nothing proves that none was sent
	CauseSuppressed Cause = "suppressed"  // the sender sent nothing (DTX): no sequence number is missing
	CauseInactive   Cause = "inactive"    // the stream was on hold by its SDP direction
	CausePaused     Cause = "paused"      // the recording was paused
	CauseNoMedia    Cause = "no_media"    // nothing ever came on this channel
	CauseEnded      Cause = "ended"       // nothing came any more before the recording's end
	CauseUnsaved    Cause = "unsaved"     // the sink did not take it
	CauseDiscarded  Cause = "discarded"   // it was received, and might not be kept
	CauseRedacted   Cause = "redacted"    // it was stored, and silenced afterwards
)

// causeOpen is in blocks only: the silence goes on at the block's end, so that its cause is not known yet. The gap that follows
// it tells, if need be a gap of no samples at the start of the next block.
const causeOpen Cause = "open"

// A Gap is a run of one channel in which nothing was placed.
type Gap struct {
	Channel int
	Start   int64 // position in samples
	Samples int64
	Cause   Cause
}

// A Block is a run of the recording's timeline: interleaved samples, and what
// is missing in them.
type Block struct {
	Start    int64          // position of the first sample, from the recording's start; the first block's is negative
	Samples  int            // positions, each with Rate/8000 samples per channel
	Rate     int            // of Data, in hertz: 8000 times a whole number, up to MaxRate
	Channels int            // of the recording at this point; it only ever grows
	Encoding codec.Encoding // PCMU or PCMA, at 8000 Hz, when all that was placed came in that law; else L16
	Data     []byte         // interleaved; silence where nothing was placed
	Gaps     []Gap          // inside this block, sorted by channel and start
	Late     bool           // a patch of one channel over positions that were given before
	Channel  int            // of a patch; Data has this channel only
}

// A Sink takes the blocks of one recording, in order. One goroutine calls it.
// The block's memory is used again after Append returns. When Append fails the
// block was not taken: the same span is offered again as long as it is held.
type Sink interface {
	Append(b *Block) error
}

// StreamStats are the figures of one stream since its recording began. All are
// totals but for those that say otherwise. Its JSON form is stored with recordings.
type StreamStats struct {
	Channel        int           `json:"channel"`
	SSRC           uint32        `json:"ssrc"`            // now
	Packets        uint64        `json:"packets"`         // RTP packets accepted as this stream's, of any payload type
	Bytes          uint64        `json:"bytes"`           // of payload in them
	Placed         uint64        `json:"placed"`          // packets placed on the timeline, patches included
	Lost           uint64        `json:"lost"`            // sequence numbers that never came (RFC 3550 A.3, never below 0)
	Reordered      uint64        `json:"reordered"`       // came after a higher sequence number
	Duplicate      uint64        `json:"duplicate"`       // came before
	Late           uint64        `json:"late"`            // came too late to be placed, and were dropped
	Patched        uint64        `json:"patched"`         // came after their positions were committed, and were placed as a patch
	Foreign        uint64        `json:"foreign"`         // from an address that was not offered
	Malformed      uint64        `json:"malformed"`       // not RTP version 2, or lengths that overrun the datagram
	UnknownPayload uint64        `json:"unknown_payload"` // of a payload type that is not placed (telephone-event too)
	Refused        uint64        `json:"refused"`         // of a second SSRC that interleaved with this stream's
	Discarded      uint64        `json:"discarded"`       // arrived while the stream was inactive or the recording paused
	Clipped        uint64        `json:"clipped"`         // arrived in time, but all of it was spoken while nothing was to be kept
	SSRCChanges    uint64        `json:"ssrc_changes"`
	Reanchors      uint64        `json:"reanchors"`    // times at which the stream's clock was set anew by arrival
	KernelDrops    uint64        `json:"kernel_drops"` // datagrams that the kernel dropped for want of buffer
	Jitter         time.Duration `json:"jitter_ns"`
	FirstArrival   time.Time     `json:"first_arrival,omitzero"` // of the first accepted packet; zero: none came
	LastArrival    time.Time     `json:"last_arrival,omitzero"`
	DriftPPM       float64       `json:"drift_ppm"` // of the sender's clock against ours, positive when it runs fast; an estimate
	Inserted       int64         `json:"inserted"`  // positions repeated to correct drift
	Removed        int64         `json:"removed"`   // positions dropped to correct drift

	Codec       string `json:"codec,omitempty"`       // of the newest packet that was placed
	Loud        bool   `json:"loud,omitempty"`        // some sample stood above LoudLevel
	Recovered   uint64 `json:"recovered,omitempty"`   // lost packets whose sound came with later ones: RFC 2198, or in-band FEC
	Undecodable uint64 `json:"undecodable,omitempty"` // packets that the decoder refused; they are silence
	AuthFailed  uint64 `json:"auth_failed,omitempty"` // of a protected stream: not authentic, in clear, or before its keys were agreed
	Replayed    uint64 `json:"replayed,omitempty"`    // of a protected stream: authentic or not, it came before
}

// LoudLevel is the sample value above which a stream is not silent: -60 dB of full scale.
const LoudLevel = 33

// A Summary is what a recording amounts to, when it is closed.
type Summary struct {
	Samples    int64 // length from the recording's start, in positions
	Rate       int   // of the sound, in hertz
	Channels   int
	Streams    []StreamStats
	SinkErrors uint64 // times at which the sink refused a block
	Unsaved    int64  // samples per channel that the sink never took
	Err        error  // the sink's last error, when SinkErrors is not 0
}
