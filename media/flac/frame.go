package flac

const bitsPerSample = 16

// rateCodes are the sample rates that a frame header names in four bits; 0 refers to STREAMINFO (RFC 9639 section 9.1.2).
var rateCodes = map[int]uint64{8000: 4, 16000: 5, 22050: 6, 24000: 7, 32000: 8, 44100: 9, 48000: 10, 96000: 11}

// writeFrame writes the held samples as one frame.
func (e *Encoder) writeFrame() error {
	b := &e.bits
	b.put(0xFFF8, 16) // sync code, fixed block size
	if e.held == blockSize {
		b.put(12, 4) // 256 << (12-8)
	} else {
		b.put(7, 4) // 16 bits, at the header's end
	}
	b.put(rateCodes[e.config.Rate], 4)
	b.put(uint64(e.config.Channels-1), 4) // each by itself
	b.put(4, 3)                           // 16 bits per sample
	b.put(0, 1)
	e.number(e.frame)
	if e.held != blockSize {
		b.put(uint64(e.held-1), 16)
	}
	b.put(uint64(crc8(b.buf)), 8)
	for _, block := range e.block {
		e.work.write(b, block[:e.held])
	}
	b.align()
	b.put(uint64(crc16(b.buf)), 16)
	e.frame++
	e.written += int64(e.held)
	e.held = 0
	return e.flush()
}

// number writes a frame's number, coded like UTF-8 up to 36 bits (RFC 9639 section 9.1.5).
func (e *Encoder) number(n uint64) {
	if n < 0x80 {
		e.bits.put(n, 8)
		return
	}
	more := uint(1) // bytes that follow, of 6 bits each; the first then has 6-more
	for n>>(6*more) >= 1<<(6-more) {
		more++
	}
	lead := uint64(0xFF) << (7 - more) & 0xFF
	e.bits.put(lead|n>>(6*more), 8)
	for more > 0 {
		more--
		e.bits.put(0x80|n>>(6*more)&0x3F, 8)
	}
}

// A bitWriter collects bits, most significant first.
type bitWriter struct {
	buf []byte
	acc uint64 // the lowest n bits wait
	n   uint   // fewer than 8 between calls
}

// put appends the lowest n bits of v, n from 0 to 64.
func (b *bitWriter) put(v uint64, n uint) {
	if n > 32 {
		b.put(v>>32, n-32)
		v, n = v&0xFFFFFFFF, 32
	}
	b.acc = b.acc<<n | v&(1<<n-1)
	b.n += n
	for b.n >= 8 {
		b.n -= 8
		b.buf = append(b.buf, byte(b.acc>>b.n))
	}
}

// unary appends q zeros and a one.
func (b *bitWriter) unary(q uint64) {
	for q >= 32 {
		b.put(0, 32)
		q -= 32
	}
	b.put(1, uint(q)+1)
}

func (b *bitWriter) align() {
	if b.n > 0 {
		b.put(0, 8-b.n)
	}
}

func (b *bitWriter) bytes(p []byte) { b.buf = append(b.buf, p...) }

var (
	crc8Table  = makeCRC8()
	crc16Table = makeCRC16()
)

// makeCRC8 is x^8 + x^2 + x + 1 (RFC 9639 section 9.1.8).
func makeCRC8() (t [256]uint8) {
	for i := range t {
		c := uint8(i)
		for range 8 {
			c = c<<1 ^ c>>7*0x07
		}
		t[i] = c
	}
	return t
}

// makeCRC16 is x^16 + x^15 + x^2 + 1 (RFC 9639 section 9.3).
func makeCRC16() (t [256]uint16) {
	for i := range t {
		c := uint16(i) << 8
		for range 8 {
			c = c<<1 ^ c>>15*0x8005
		}
		t[i] = c
	}
	return t
}

func crc8(p []byte) (c uint8) {
	for _, b := range p {
		c = crc8Table[c^b]
	}
	return c
}

func crc16(p []byte) (c uint16) {
	for _, b := range p {
		c = c<<8 ^ crc16Table[byte(c>>8)^b]
	}
	return c
}
