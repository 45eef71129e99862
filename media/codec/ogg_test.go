package codec_test

import (
	"encoding/binary"
	"testing"
)

// oggPackets reads the packets of an Ogg file with one stream (RFC 3533 section 6).
func oggPackets(t testing.TB, b []byte) (packets [][]byte) {
	t.Helper()
	var packet []byte
	for len(b) > 0 {
		if len(b) < 27 || string(b[:4]) != "OggS" || len(b) < 27+int(b[26]) {
			t.Fatalf("no Ogg page where one must begin, %d bytes before the end", len(b))
		}
		lacing := b[27:][:b[26]]
		b = b[27+len(lacing):]
		for _, n := range lacing {
			packet = append(packet, b[:n]...)
			b = b[n:]
			if n < 255 {
				packets = append(packets, packet)
				packet = nil
			}
		}
	}
	return packets
}

// An oggOpus is an Ogg Opus file (RFC 7845).
type oggOpus struct {
	preskip int // samples at 48 kHz to leave out at the start
	packets [][]byte
}

func readOpus(t testing.TB, b []byte) oggOpus {
	t.Helper()
	all := oggPackets(t, b)
	if len(all) < 3 || string(all[0][:8]) != "OpusHead" {
		t.Fatal("not an Ogg Opus file")
	}
	return oggOpus{preskip: int(binary.LittleEndian.Uint16(all[0][10:])), packets: all[2:]}
}

// writeOpus makes an Ogg Opus file of one packet a page, for a decoder of so many channels: one may decode packets of two.
func writeOpus(o oggOpus, channels int) []byte {
	head := append([]byte("OpusHead\x01"), byte(channels), byte(o.preskip), byte(o.preskip>>8), 0x80, 0xBB, 0, 0, 0, 0, 0)
	tags := append([]byte("OpusTags"), make([]byte, 8)...)
	var out []byte
	out = oggPage(out, 2, 0, 0, head)
	out = oggPage(out, 0, 0, 1, tags)
	at := 0
	for i, p := range o.packets {
		flags := byte(0)
		if i == len(o.packets)-1 {
			flags = 4
		}
		at += opusLength(p)
		out = oggPage(out, flags, at, uint32(i+2), p)
	}
	return out
}

// opusLength is the length of a packet at 48 kHz, by libopus's own way of counting: table 2 of RFC 6716.
func opusLength(p []byte) int {
	frames := 2
	switch p[0] & 3 {
	case 0:
		frames = 1
	case 3:
		frames = int(p[1] & 63)
	}
	config := p[0] >> 3
	switch {
	case config >= 16:
		return frames * 120 << (config & 3)
	case config >= 12:
		return frames * 480 << (config & 1)
	case config&3 == 3:
		return frames * 2880
	}
	return frames * 480 << (config & 3)
}

// oggPage appends a page of one packet.
func oggPage(dst []byte, flags byte, at int, number uint32, packet []byte) []byte {
	start := len(dst)
	dst = append(dst, "OggS\x00"...)
	dst = append(dst, flags)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(at))
	dst = binary.LittleEndian.AppendUint32(dst, 1)
	dst = binary.LittleEndian.AppendUint32(dst, number)
	dst = append(dst, 0, 0, 0, 0, byte(len(packet)/255+1))
	for n := len(packet); n >= 0; n -= 255 {
		dst = append(dst, byte(min(n, 255)))
	}
	dst = append(dst, packet...)
	sum := uint32(0)
	for _, b := range dst[start:] {
		sum ^= uint32(b) << 24
		for range 8 {
			top := sum >> 31
			sum = sum<<1 ^ top*0x04C11DB7
		}
	}
	binary.LittleEndian.PutUint32(dst[start+22:], sum)
	return dst
}
