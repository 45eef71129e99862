package media_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/greffier/greffier/media"
)

func TestIsRTCP(t *testing.T) {
	for _, c := range []struct {
		second byte
		want   bool
	}{{0, false}, {0x80, false}, {96, false}, {0x80 | 127, false}, {191, false}, {192, true}, {200, true}, {207, true}, {223, true}, {224, false}} {
		if got := media.IsRTCP([]byte{0x80, c.second}); got != c.want {
			t.Errorf("second byte %d: %v, want %v", c.second, got, c.want)
		}
	}
	if media.IsRTCP(nil) || media.IsRTCP([]byte{0x80}) {
		t.Error("no second byte is RTCP")
	}
}

// A sender report comes, and receiver reports go back that show it.
func TestReceiverReports(t *testing.T) {
	t.Parallel()
	for _, mux := range []bool{false, true} {
		name := map[bool]string{false: "own port", true: "shared port"}[mux]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := startReceiver(t, media.Config{})
			control := listen(t)
			s := pcmu(0)
			s.RTCP, s.RTCPMux = control.LocalAddr().(*net.UDPAddr).AddrPort(), mux
			rec := openRecording(t, r, new(tape), s)
			p := newPhone(t, loopback, rec.Ports()[0])
			from := rec.Ports()[0] + 1
			if mux {
				from--
			}
			pace(time.Now(), 10, func(i int) {
				if i == 4 {
					p.h.SequenceNumber++ // one is lost
				}
				p.send(filled(0x21))
			})
			sendReport(t, control, from, p.h.SSRC, 0x0123456789abcdef)
			rr := awaitReport(t, control, from)
			if rr.SSRC != p.h.SSRC || rr.TotalLost != 1 || rr.FractionLost != 256/11 {
				t.Errorf("report %+v: want source %#x, 1 lost of 11", rr, p.h.SSRC)
			}
			if want := uint32(1<<16 | 65530 + 10 - 1<<16); rr.LastSequenceNumber != want {
				t.Errorf("highest sequence number %#x, want %#x", rr.LastSequenceNumber, want)
			}
			if rr.LastSenderReport != 0x456789ab || rr.Delay == 0 || rr.Delay > 20<<16 {
				t.Errorf("last sender report %#x, %d/65536 s ago", rr.LastSenderReport, rr.Delay)
			}
			if st := r.Stats(); st.ForeignReports+st.MalformedReports+st.SendErrors != 0 {
				t.Errorf("receiver: %+v", st)
			}
			if st := closeRecording(t, rec).Streams[0]; st.Packets != 10 || st.Malformed+st.UnknownPayload != 0 {
				t.Errorf("stream: %+v; want the RTCP not among its packets", st)
			}
		})
	}
}

func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func sendReport(t *testing.T, c *net.UDPConn, port int, ssrc uint32, ntp uint64) {
	t.Helper()
	data, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.SenderReport{SSRC: ssrc, NTPTime: ntp, RTPTime: 1, PacketCount: 10, OctetCount: 1600},
		&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: ssrc, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "phone"}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteToUDP(data, &net.UDPAddr{IP: loopback.AsSlice(), Port: port}); err != nil {
		t.Fatal(err)
	}
}

// awaitReport takes the first compound packet that comes and checks its form.
func awaitReport(t *testing.T, c *net.UDPConn, port int) rtcp.ReceptionReport {
	t.Helper()
	buf := make([]byte, 1500)
	if err := c.SetReadDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, from, err := c.ReadFromUDP(buf)
	for err == nil && from.Port != port { // somebody's who had our port before
		n, from, err = c.ReadFromUDP(buf)
	}
	if err != nil {
		t.Fatalf("no report from port %d: %v", port, err)
	}
	packets, err := rtcp.Unmarshal(buf[:n])
	if err != nil {
		t.Fatal(err)
	}
	if len(packets) != 2 {
		t.Fatalf("%d packets, want a receiver report and a source description", len(packets))
	}
	rr, ok := packets[0].(*rtcp.ReceiverReport)
	if !ok || len(rr.Reports) != 1 {
		t.Fatalf("first packet %+v", packets[0])
	}
	sdes, ok := packets[1].(*rtcp.SourceDescription)
	if !ok || len(sdes.Chunks) != 1 || sdes.Chunks[0].Source != rr.SSRC || len(sdes.Chunks[0].Items) != 1 {
		t.Fatalf("second packet %+v", packets[1])
	}
	if item := sdes.Chunks[0].Items[0]; item.Type != rtcp.SDESCNAME || len(item.Text) != 16 {
		t.Errorf("canonical name %+v; want 96 random bits in base64", item)
	}
	return rr.Reports[0]
}

func TestReportsOfOthers(t *testing.T) {
	t.Parallel()
	r, _ := startReceiver(t, media.Config{})
	rec := openRecording(t, r, new(tape), pcmu(0))
	port := rec.Ports()[0]
	outside := newPhone(t, stranger, port+1)
	outside.raw([]byte{0x80, 200, 0, 0})
	inside := newPhone(t, loopback, port+1)
	inside.raw([]byte{0x80, 200, 0, 0})
	inside.raw([]byte("nonsense"))
	eventually(t, "the RTCP socket is drained", func() bool {
		s := r.Stats()
		return s.ForeignReports == 1 && s.MalformedReports == 2
	})
	if s := closeRecording(t, rec).Streams[0]; s.Packets+s.Foreign+s.Malformed != 0 {
		t.Errorf("stream: %+v; want RTCP to count nowhere here", s)
	}
}
