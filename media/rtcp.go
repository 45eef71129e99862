package media

import (
	"crypto/rand"
	"encoding/base64"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/pion/rtcp"
)

const (
	// reportMean is the mean interval of receiver reports (RFC 3550 section
	// 6.2: the least is 5 s, and two parties never need more).
	reportMean = 5 * time.Second

	// reportBatches bounds the RTCP batches that one poll takes from a socket.
	reportBatches = 1
)

// reportInterval is a random interval of 0.5 to 1.5 times the mean, so that
// reports do not fall into step (RFC 3550 section 6.3.1).
func reportInterval() int64 {
	return int64(float64(reportMean) * (0.5 + mathrand.Float64()))
}

// newCanonicalName makes an RTCP CNAME that says nothing about this machine
// (RFC 7022 section 4.2: 96 random bits).
func newCanonicalName() string {
	var name [12]byte
	_, _ = rand.Read(name[:]) // never fails
	return base64.StdEncoding.EncodeToString(name[:])
}

// isRTCP tells RTCP from RTP on a shared port, by the second byte (RFC 5761
// section 4).
func isRTCP(data []byte) bool { return len(data) > 1 && data[1] >= 192 && data[1] <= 223 }

// collectRTCP empties the RTCP socket of leg i; mu is held.
func (rec *Recording) collectRTCP(i int, d *drain) {
	if rec.legs[i].yielded {
		return
	}
	for range reportBatches {
		n, err := rec.legs[i].rtcp.receive(d.batch)
		if err != nil {
			rec.receiver.socketErrors.Add(1)
			return
		}
		var g datagram
		for j := range n {
			d.batch.datagram(j, &g)
			if rec.legs[i].guard != nil && !g.truncated {
				if g.data = rec.admit(i, sideRTCP, d.arrival(g.arrival), d.batch.from(j), g.data); g.data == nil {
					continue
				}
			}
			rec.report(i, d.arrival(g.arrival), &g)
		}
		if n < batchSize {
			return
		}
	}
}

// report takes one RTCP datagram that came for stream i. Only sender reports
// are of use: the end of a stream is the signalling's word.
func (rec *Recording) report(i int, arrival int64, g *datagram) {
	s := &rec.streams[i]
	if !s.AnySource && g.source != s.RTCP.Addr().Unmap() && !slices.Contains(s.Addrs, g.source) {
		rec.receiver.foreignReports.Add(1)
		return
	}
	packets, err := rtcp.Unmarshal(g.data)
	if err != nil || g.truncated {
		rec.receiver.malformedReports.Add(1)
		return
	}
	for _, p := range packets {
		if sr, ok := p.(*rtcp.SenderReport); ok {
			rec.timeline.senderReport(i, arrival, sr.SSRC, sr.NTPTime, sr.RTPTime)
		}
	}
}

// sendReports sends the receiver reports that are due, and reads before what they
// tell of: sender reports have the kernel's time, and wait. mu is held.
func (rec *Recording) sendReports(d *drain) {
	now := d.until
	for i := range rec.legs {
		l := &rec.legs[i]
		if now < l.nextReport {
			continue
		}
		rec.collectRTCP(i, d)
		l.nextReport = now + reportInterval()
		to := rec.reportTo(i)
		if !to.IsValid() || to.Port() == 0 {
			continue
		}
		rr, ok := rec.timeline.receiverReport(i, now)
		if !ok {
			continue
		}
		data, err := receiverReport(l.ssrc, rr, rec.receiver.name)
		if err == nil && l.guard != nil {
			data, err = rec.sealReport(i, data)
		}
		if err != nil {
			rec.receiver.sendErrors.Add(1)
			continue
		}
		from := l.rtcp
		if rec.streams[i].RTCPMux {
			from = l.rtp
		}
		if err := from.send(data, to); err != nil {
			rec.receiver.sendErrors.Add(1)
		}
	}
	rec.scheduleReports()
}

// scheduleReports notes when the next report is due.
func (rec *Recording) scheduleReports() {
	rec.nextReport = math.MaxInt64
	for _, l := range rec.legs {
		rec.nextReport = min(rec.nextReport, l.nextReport)
	}
}

// receiverReport makes the compound packet: the report and our canonical name
// (RFC 3550 section 6.1).
func receiverReport(ssrc uint32, rr receptionReport, name string) ([]byte, error) {
	return rtcp.Marshal([]rtcp.Packet{
		&rtcp.ReceiverReport{
			SSRC: ssrc,
			Reports: []rtcp.ReceptionReport{{
				SSRC:               rr.SSRC,
				FractionLost:       rr.FractionLost,
				TotalLost:          uint32(rr.TotalLost) & 0xffffff, // signed, 24 bit
				LastSequenceNumber: rr.LastSequence,
				Jitter:             rr.Jitter,
				LastSenderReport:   rr.LastSR,
				Delay:              rr.Delay,
			}},
		},
		&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
			Source: ssrc,
			Items:  []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: name}},
		}}},
	})
}
