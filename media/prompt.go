package media

// A prompt finds how late the promptest packet was. A packet cannot come before it was sent, so that this is the one thing jitter
// does not touch; but a packet that overtook others may seem to (the sender, or a relay, gave them away in another order). Where
// packets were overtaken, only those count that had all before them there. Where none was, all count, whatever was lost.
type prompt struct {
	all, clean     int64 // least lateness
	some, cleanest int   // packets that they are of
	overtaken      bool
}

// add takes the lateness of a packet; clean says that none before it is missing.
func (p *prompt) add(late int64, clean bool) {
	if p.some == 0 || late < p.all {
		p.all = late
	}
	p.some++
	if !clean {
		return
	}
	if p.cleanest == 0 || late < p.clean {
		p.clean = late
	}
	p.cleanest++
}

// least is the lateness of the promptest packet, and of how many packets it is.
func (p *prompt) least() (late int64, packets int) {
	if p.overtaken {
		return p.clean, p.cleanest
	}
	return p.all, p.some
}

// shift is told that the packets' places moved.
func (p *prompt) shift(samples int64) {
	p.all -= samples
	p.clean -= samples
}
