package codec

// PackAMR makes a payload of frames that are as in a file (RFC 4867 section 5.3), in either form of section 4, for the tests.
func PackAMR(wide, aligned bool, stored ...[]byte) []byte {
	family := &narrowband
	if wide {
		family = &wideband
	}
	var w bitWriter
	w.write(15, 4) // no mode is asked for
	if aligned {
		w.write(0, 4)
	}
	for i, f := range stored {
		more := 1
		if i == len(stored)-1 {
			more = 0
		}
		w.write(more<<5|int(f[0]>>2&31), 6)
		if aligned {
			w.write(0, 2)
		}
	}
	for _, f := range stored {
		bits := family.bits[f[0]>>3&15]
		for i := range bits {
			w.write(int(f[1+i/8]>>(7-i%8)&1), 1)
		}
		for aligned && w.n%8 != 0 {
			w.write(0, 1)
		}
	}
	return w.b
}

type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) write(v, bits int) {
	for i := bits - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}
