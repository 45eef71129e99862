package siprectest

import (
	"context"
	"time"

	"github.com/greffier/greffier/siprec"
)

// A CallSpec describes one recording session to open. The zero value is a call of two PCMU streams that send nothing,
// without metadata.
type CallSpec struct {
	To     string // request URI; default "sip:srs@" and the server's address
	From   string // our URI; default Config.User at our address
	CallID string // default: random

	// Streams are the m-lines in order; default: labels "1" and "2".
	Streams []StreamSpec

	// Metadata describes the communication session; nil for none. RawMetadata, when set, is sent instead, as it is.
	Metadata    *Metadata
	RawMetadata []byte

	Body          Body          // how the body is put together
	Headers       []Header      // more header fields of the INVITE
	NoRequire     bool          // leave "Require: siprec" out
	NoSRCTag      bool          // leave "+sip.src" out of Contact
	FreezeVersion bool          // the o= version never grows, as some clients have it
	Timeline      []Event       // what Play does when
	Offerless     bool          // the INVITE has no session description: the 200 offers as many m-lines as there are Streams, and the ACK answers
	ManualMedia   bool          // media start with StartMedia, not with the answer
	RTCPInterval  time.Duration // between sender reports of streams with RTCP; default 5 s

	// OnRequest is asked for the status that a request of the SRS inside the dialog is answered with; 0 is the
	// ordinary answer. It is called by the client's reader and must not block.
	OnRequest func(method string) int
}

// A StreamSpec describes one m-line and what is sent on it.
type StreamSpec struct {
	Label     siprec.Label     // default: "1", "2", ... by position
	Type      string           // media type; default "audio". Only audio is sent
	Formats   []siprec.Format  // default: PCMU and telephone-event. The first PCMU or PCMA that the answer keeps is sent
	Direction siprec.Direction // what we offer; default sendonly
	PTime     time.Duration    // a frame's length, 10 to 60 ms in whole milliseconds; default 20 ms
	Attrs     []string         // more a= lines, without "a="
	Source    Source           // what is heard; nil: nothing is sent
	Encoded   *Encoded         // what is sent in place of the source's samples
	Script    Script           // what goes wrong
	Security  Security         // SRTP, DTLS, ICE; default: none

	// First values of the RTP header; nil: random.
	SSRC      *uint32
	Sequence  *uint16
	Timestamp *uint32

	RTCP            bool // bind an RTCP port too, send sender reports, count receiver reports
	IgnoreDirection bool // go on sending when the stream is inactive, as some media relays do
	KeepPackets     bool // remember every packet for Truth
}

// Encoded is sound that another encoder made. The stream's Source says what is to be heard in it.
type Encoded struct {
	Format  siprec.Format // of the stream's Formats: it is sent when the answer keeps it
	Packets [][]byte      // one payload for each PTime, over and over
}

// An Event is something that Play does at an instant of the media.
type Event struct {
	At time.Duration
	Do func(ctx context.Context, call *Call) error
}

// Hold makes the streams with the labels (none: all) inactive by a re-INVITE, from one instant to another.
func Hold(from, to time.Duration, labels ...siprec.Label) []Event {
	set := func(d siprec.Direction) func(context.Context, *Call) error {
		return func(ctx context.Context, call *Call) error {
			_, err := call.ReInvite(ctx, Change{Directions: call.directions(d, labels)})
			return err
		}
	}
	return []Event{{At: from, Do: set(siprec.Inactive)}, {At: to, Do: set(siprec.SendOnly)}}
}

// PCMU and PCMA are the static payload types of G.711, TelephoneEvent the usual dynamic one of RFC 4733.
var (
	PCMU           = siprec.Format{PayloadType: 0, Encoding: "PCMU", ClockRate: sampleRate, Channels: 1}
	PCMA           = siprec.Format{PayloadType: 8, Encoding: "PCMA", ClockRate: sampleRate, Channels: 1}
	TelephoneEvent = siprec.Format{PayloadType: 101, Encoding: "TELEPHONE-EVENT", ClockRate: sampleRate, Channels: 1, Params: "0-16"}
)

// TwoParty describes the usual call: one stream for each party, labels "1" and "2", complete metadata.
func TwoParty(left, right Source) CallSpec {
	return CallSpec{
		Streams: []StreamSpec{{Label: "1", Source: left}, {Label: "2", Source: right}},
		Metadata: NewMetadata(
			Participant{AOR: "sip:+33140000001@example.org", Name: "Alice", Sends: []siprec.Label{"1"}, Receives: []siprec.Label{"2"}},
			Participant{AOR: "sip:+33140000002@example.org", Name: "Bob", Sends: []siprec.Label{"2"}, Receives: []siprec.Label{"1"}}),
	}
}
