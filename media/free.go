package media

// FreePorts tells how many streams could still be given ports. False when the system chooses them: then nothing is known but
// that Open will say so.
func (r *Receiver) FreePorts() (int, bool) {
	if r.ports.ephemeral {
		return 0, false
	}
	return r.ports.available(), true
}
