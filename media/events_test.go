package media

import (
	"encoding/binary"
	"testing"
)

// FuzzEvents gives a stream a program of event packets of 11 bytes each: SSRC, marker and timestamp of the packet, and two events.
// What is told is a key, and no press that is remembered is told twice.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("\x81\x00\x10\x05\x0a\x00\xa0\xff\x00\x00\x00\x01\x00\x10\x05\x8a\x01\x40\x05\x00\x00\x50"))
	f.Add([]byte("\x00\xff\xff\x0f\x00\xff\xff\x10\x80\x00\x00"))
	f.Fuzz(func(t *testing.T, program []byte) {
		line := newTimeline(startTime, 1, []Stream{{Events: []uint8{101}, AnySource: true, Active: true}}, &memory{})
		told := map[press]int{} // by the packets told of since
		presses := 0
		line.digits = func(p keyPress) bool {
			presses++
			if p.stream != 0 || p.channel != 0 || p.inBand || p.at < startTime {
				t.Fatalf("%+v", p)
			}
			switch c := p.key; {
			case c >= '0' && c <= '9', c >= 'A' && c <= 'D', c == '*', c == '#':
			default:
				t.Fatalf("key %q", c)
			}
			return p.key == '7'
		}
		for n := 0; len(program) >= 11; n++ {
			op := program[:11]
			program = program[11:]
			b := []byte{0x80, 101 | op[0]&0x80, 0, byte(n)}
			b = binary.BigEndian.AppendUint32(b, uint32(binary.BigEndian.Uint16(op[1:])))
			b = binary.BigEndian.AppendUint32(b, uint32(op[0]&3))
			b = append(b, op[3:]...)
			before := presses
			line.packet(0, startTime+int64(n)*20e6, sourceAddr, b)
			again := presses
			if again-before > maxEvents {
				t.Fatalf("one packet told of %d presses", again-before)
			}
			line.packet(0, startTime+int64(n)*20e6, sourceAddr, b)
			if presses != again {
				t.Fatalf("the same packet told of %d presses again", presses-again)
			}
			for _, p := range line.streams[0].keypad().presses {
				if p.told {
					told[press{key: p.key, ssrc: p.ssrc, stamp: p.stamp, at: p.at}]++
				}
			}
		}
		if len(told) > 0 && presses == 0 || presses > 0 && len(told) == 0 {
			t.Fatalf("%d presses told, %d remembered", presses, len(told))
		}
	})
}
