package srs

import (
	"slices"
	"strconv"
	"strings"

	"github.com/greffier/greffier/siprec"
)

// proposedStreams is how many streams we propose to a client that says nothing of its own: one for each party.
const proposedStreams = 2

// proposal is the offer that a client did not make (RFC 3261 section 13.2.1): the Recorder answers it as if it had, and its answer is
// the offer in our 200. There is a stream for each label of the metadata; without labels there are two, and no label is made up.
// It has no address, so that nothing is heard before the ACK says where media come from.
func proposal(metadata *siprec.Document) *siprec.Offer {
	labels := proposedLabels(metadata)
	if len(labels) == 0 {
		labels = make([]siprec.Label, proposedStreams)
	}
	o := &siprec.Offer{}
	for _, l := range labels {
		formats := proposedFormats()
		m := siprec.Media{
			Type: "audio", Port: discardPort, Protocol: "RTP/AVP", Formats: formats, Label: l, Direction: siprec.SendOnly,
		}
		for _, f := range formats {
			m.FormatIDs = append(m.FormatIDs, strconv.Itoa(int(f.PayloadType)))
		}
		o.Media = append(o.Media, m)
	}
	return o
}

// discardPort stands for a port that is not known (RFC 863).
const discardPort = 9

// proposedFormats are the formats of recording clients that the Recorder chooses from.
func proposedFormats() []siprec.Format {
	return []siprec.Format{
		{PayloadType: 0, Encoding: "PCMU", ClockRate: 8000, Channels: 1},
		{PayloadType: 8, Encoding: "PCMA", ClockRate: 8000, Channels: 1},
		{PayloadType: 9, Encoding: "G722", ClockRate: 8000, Channels: 1},
		{PayloadType: 96, Encoding: "OPUS", ClockRate: 48000, Channels: 2},
		{PayloadType: 97, Encoding: "L16", ClockRate: 16000, Channels: 1},
		{PayloadType: 98, Encoding: "L16", ClockRate: 8000, Channels: 1},
		{PayloadType: 101, Encoding: siprec.TelephoneEvent, ClockRate: 8000, Channels: 1, Params: "0-16"},
	}
}

// proposedLabels lists the labels of the metadata's streams that a description of ours can repeat.
func proposedLabels(metadata *siprec.Document) []siprec.Label {
	var out []siprec.Label
	if metadata == nil {
		return nil
	}
	for _, stream := range metadata.Streams {
		l := stream.Label
		if len(out) < siprec.MaxMedia && isLabel(string(l)) && !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

// isLabel tells whether s is a token (RFC 4574 section 4).
func isLabel(s string) bool {
	return s != "" && len(s) <= siprec.MaxLabelBytes && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]`, c)
	})
}
