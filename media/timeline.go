package media

import (
	"net/netip"
)

type timeline struct{}

func newTimeline(start int64, channels int, streams []Stream, sink Sink) *timeline {
	return &timeline{}
}

func (t *timeline) packet(stream int, arrival int64, src netip.Addr, data []byte) {}
func (t *timeline) kernelDrops(stream int, n uint32)                              {}
func (t *timeline) update(at int64, streams []Stream)                             {}
func (t *timeline) pause(at int64, on bool, cause Cause)                          {}
func (t *timeline) cut(drained int64)                                             {}
func (t *timeline) close(at int64) Summary                                        { return Summary{} }
func (t *timeline) stats(dst []StreamStats) []StreamStats                         { return dst }
func (t *timeline) receiverReport(stream int, now int64) (receptionReport, bool) {
	return receptionReport{}, false
}
func (t *timeline) senderReport(stream int, arrival int64, ssrc uint32, ntp uint64, rtpTS uint32) {}
