package siprectest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/pion/rtp"
)

// PCAP says what a capture file's packets look like. The zero value is PCMU in frames of 20 ms.
type PCAP struct {
	Encoding  string         // "PCMU" (default) or "PCMA"
	PTime     time.Duration  // default 20 ms
	SSRC      uint32         // default 0x67726566
	Sequence  uint16         // of the first packet
	Timestamp uint32         // of the first packet
	Start     time.Time      // capture time of the first packet; default the Unix epoch plus one second
	From, To  netip.AddrPort // IPv4; default 127.0.0.1:6000 to 127.0.0.1:6002. SIPp replaces both by the call's
}

// Sizes of the headers in front of the RTP header, in bytes.
const (
	pcapEthernet = 14
	pcapIPv4     = 20
	pcapUDP      = 8
)

// WritePCAP writes samples at 8000 Hz as a capture file of RTP in UDP, IPv4 and Ethernet, with the packets' times ptime
// apart. SIPp's play_pcap actions and Wireshark read it. The last frame is filled up with silence.
func WritePCAP(w io.Writer, pcm []int16, o PCAP) error {
	if err := o.defaults(); err != nil {
		return fmt.Errorf("write pcap: %w", err)
	}
	l, err := lawOf(o.Encoding)
	if err != nil {
		return fmt.Errorf("write pcap: %w", err)
	}
	// Classic format with microseconds: magic, version 2.4, zone, accuracy, longest packet, Ethernet.
	file := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	file = binary.LittleEndian.AppendUint16(file, 2)
	file = binary.LittleEndian.AppendUint16(file, 4)
	for _, v := range []uint32{0, 0, 65535, 1} {
		file = binary.LittleEndian.AppendUint32(file, v)
	}
	if _, err := w.Write(file); err != nil {
		return fmt.Errorf("write pcap: %w", err)
	}
	h := rtp.Header{Version: 2, Marker: true, SSRC: o.SSRC, SequenceNumber: o.Sequence, Timestamp: o.Timestamp}
	if o.Encoding == "PCMA" {
		h.PayloadType = PCMA.PayloadType
	}
	n := int(samples(o.PTime))
	frame := make([]int16, n)
	for i := 0; i*n < len(pcm); i++ {
		clear(frame[copy(frame, pcm[i*n:]):])
		head, err := h.Marshal()
		if err != nil {
			return fmt.Errorf("write pcap: %w", err)
		}
		packet := o.packet(uint16(i), encode(head, frame, l))
		at := o.Start.Add(time.Duration(i) * o.PTime)
		record := binary.LittleEndian.AppendUint32(nil, uint32(at.Unix()))
		record = binary.LittleEndian.AppendUint32(record, uint32(at.Nanosecond()/1000))
		record = binary.LittleEndian.AppendUint32(record, uint32(len(packet)))
		record = binary.LittleEndian.AppendUint32(record, uint32(len(packet)))
		if _, err := w.Write(append(record, packet...)); err != nil {
			return fmt.Errorf("write pcap: %w", err)
		}
		h.SequenceNumber++
		h.Timestamp += uint32(n)
		h.Marker = false
	}
	return nil
}

func (o *PCAP) defaults() error {
	if o.Encoding == "" {
		o.Encoding = "PCMU"
	}
	if o.PTime == 0 {
		o.PTime = 20 * time.Millisecond
	}
	if o.SSRC == 0 {
		o.SSRC = 0x67726566
	}
	if o.Start.IsZero() {
		o.Start = time.Unix(1, 0)
	}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if !o.From.IsValid() {
		o.From = netip.AddrPortFrom(loopback, 6000)
	}
	if !o.To.IsValid() {
		o.To = netip.AddrPortFrom(loopback, 6002)
	}
	if !o.From.Addr().Is4() || !o.To.Addr().Is4() {
		return fmt.Errorf("addresses %s and %s are not IPv4", o.From, o.To)
	}
	if o.PTime < 10*time.Millisecond || o.PTime > 60*time.Millisecond {
		return fmt.Errorf("ptime %v is not 10 to 60 ms", o.PTime)
	}
	return nil
}

// packet puts the three headers before an RTP packet.
func (o *PCAP) packet(id uint16, payload []byte) []byte {
	b := make([]byte, pcapEthernet+pcapIPv4+pcapUDP, pcapEthernet+pcapIPv4+pcapUDP+len(payload))
	binary.BigEndian.PutUint16(b[12:], 0x0800) // IPv4; both hardware addresses stay zero
	ip := b[pcapEthernet:]
	ip[0] = 0x45 // version 4, five words
	binary.BigEndian.PutUint16(ip[2:], uint16(pcapIPv4+pcapUDP+len(payload)))
	binary.BigEndian.PutUint16(ip[4:], id)
	ip[8], ip[9] = 64, 17 // hops, UDP
	from, to := o.From.Addr().As4(), o.To.Addr().As4()
	copy(ip[12:], from[:])
	copy(ip[16:], to[:])
	binary.BigEndian.PutUint16(ip[10:], onesComplement(0, ip[:pcapIPv4]))
	udp := b[pcapEthernet+pcapIPv4:]
	binary.BigEndian.PutUint16(udp[0:], o.From.Port())
	binary.BigEndian.PutUint16(udp[2:], o.To.Port())
	length := pcapUDP + len(payload)
	binary.BigEndian.PutUint16(udp[4:], uint16(length))
	b = append(b, payload...)
	// The pseudo header of RFC 768: addresses, protocol, length.
	pseudo := append(append(append([]byte{}, from[:]...), to[:]...), 0, 17, byte(length>>8), byte(length))
	binary.BigEndian.PutUint16(b[pcapEthernet+pcapIPv4+6:], onesComplement(partialSum(pseudo), b[pcapEthernet+pcapIPv4:]))
	return b
}

func partialSum(b []byte) uint32 {
	var sum uint32
	for i, v := range b {
		sum += uint32(v) << (8 * (1 - i%2))
	}
	return sum
}

// onesComplement is the Internet checksum (RFC 1071) of b on top of a partial sum.
func onesComplement(partial uint32, b []byte) uint16 {
	sum := partial + partialSum(b)
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
