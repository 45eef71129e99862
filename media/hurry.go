package media

import "time"

// waits tells whether some peer waits for an answer of ours.
func (rec *Recording) waits() bool {
	for i := range rec.legs {
		g := rec.legs[i].guard
		if g == nil {
			continue
		}
		if g.ice != nil && !g.sides[sideRTP].chosen || g.security.DTLS != nil && g.sides[sideRTP].keys == nil {
			return true
		}
		if g.sides[sideRTP].shake.going() || g.sides[sideRTCP].shake.going() {
			return true
		}
	}
	return false
}

// hurry drains the recording often until nobody waits, or the limit has passed; mu is held.
func (rec *Recording) hurry(now int64) {
	rec.hurryUntil = now + int64(hurryLimit)
	if rec.hurried || rec.closed {
		return
	}
	if rec.over == nil {
		rec.over = make(chan struct{})
	}
	rec.hurried = true
	over := rec.over
	rec.hurrying.Go(func() {
		ticker := time.NewTicker(hurryInterval)
		defer ticker.Stop()
		for {
			select {
			case <-over:
				return
			case <-ticker.C:
				if !rec.drainHurried() {
					return
				}
			}
		}
	})
}

// drainHurried drains once; false when that was the last time.
func (rec *Recording) drainHurried() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.usable() != nil {
		return false
	}
	err := rec.do(func(b *batch) {
		d := rec.collect(b)
		for i := range rec.legs { // RTCP sockets have handshakes and checks of their own
			rec.collectRTCP(i, &d)
		}
	})
	rec.hurried = err == nil && rec.waits() && rec.receiver.clock.at(time.Now()) < rec.hurryUntil
	return rec.hurried
}
