package media

// What was not to be kept is not to be found in memory either: not in a dump of the process, and not in what the system writes to its
// swap. So memory that sound has been in is wiped when that is taken back, moved or given on, and all of it when the recording ends.

// appendWiped appends to a buffer of sound. One that is outgrown is wiped.
func appendWiped(dst, src []byte) []byte {
	if len(dst)+len(src) > cap(dst) {
		grown := make([]byte, len(dst), 2*cap(dst)+len(src))
		copy(grown, dst)
		clear(dst)
		dst = grown
	}
	return append(dst, src...)
}

// wipe leaves nothing of the sound in a timeline that has ended.
func (t *timeline) wipe() {
	for _, c := range t.channels {
		clear(c.data)
		clear(c.before.pcm)
	}
	for _, s := range t.streams {
		s.held.clear()
		clear(s.decoder.bytes)
		s.decoder.close()
		if s.keys != nil && s.keys.tones != nil {
			s.keys.tones.clear()
		}
	}
	clear(t.scratch)
	t.work.wipe()
}

// wipe leaves nothing in the scratch.
func (w *workspace) wipe() {
	clear(w.pcm[:cap(w.pcm)])
	clear(w.out[:cap(w.out)])
	clear(w.data[:cap(w.data)])
}
