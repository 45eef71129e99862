package siprectest

import (
	"net"
	"time"

	"github.com/pion/rtcp"
)

// defaultRTCPInterval is the least interval of RFC 3550 section 6.2.
const defaultRTCPInterval = 5 * time.Second

// ntpEpoch is 1900-01-01 in Unix seconds.
const ntpEpoch = -2208988800

func ntp(t time.Time) uint64 {
	return uint64(t.Unix()-ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// report sends a sender report when one is due. It is called with mu held, after the frame at the instant.
func (s *Stream) report(at time.Duration) {
	conn := s.rtcp
	if s.spec.RTCP && s.sec.muxed() {
		conn = s.conn
	}
	if conn == nil || s.interval <= 0 || at < s.nextSR || !s.begun {
		return
	}
	s.nextSR += s.interval
	if !s.open {
		return
	}
	now := time.Now()
	elapsed := float64(now.Sub(s.epoch)) * (1 + s.spec.Script.SkewPPM/1e6)
	sr := &rtcp.SenderReport{SSRC: s.header.SSRC, NTPTime: ntp(now),
		RTPTime:     s.header.Timestamp + uint32(int64(elapsed*sampleRate/float64(time.Second))-s.clockLag),
		PacketCount: uint32(s.truth.Fates[Sent] + s.truth.Fates[Keyed]), OctetCount: uint32(s.truth.Fates[Sent]*int64(s.samples) + s.truth.Fates[Keyed]*int64(len(event{}.payload)))}
	cname := &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: s.header.SSRC,
		Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "src@" + s.conn.LocalAddr().String()}}}}}
	b, err := rtcp.Marshal([]rtcp.Packet{sr, cname})
	if err == nil {
		b, err = s.sec.protectReport(b)
	}
	if err != nil {
		return
	}
	if _, err := conn.WriteToUDPAddrPort(b, s.rtcpDest); err == nil {
		s.truth.SenderReports++
	}
}

// listen counts the reports about this stream until the RTCP socket is closed.
func (s *Stream) listen(conn *net.UDPConn) {
	buf := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if isClosed(err) {
				return
			}
			continue
		}
		if s.sec != nil {
			s.readReport(buf[:n])
		} else if packets, err := rtcp.Unmarshal(buf[:n]); err == nil {
			s.count(packets)
		}
	}
}

func (s *Stream) count(packets []rtcp.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range packets {
		rr, ok := p.(*rtcp.ReceiverReport)
		if !ok {
			continue
		}
		for _, r := range rr.Reports {
			if r.SSRC == s.header.SSRC {
				s.truth.ReceiverReports++
			}
		}
	}
}
