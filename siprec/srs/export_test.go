package srs

import "time"

// Shorten replaces a server's times before Serve.
func (s *Server) Shorten(t1, t2, pending time.Duration) {
	s.timing.t1, s.timing.t2, s.timing.pending = t1, t2, pending
}

// Sweep looks at the session timers now.
func (s *Server) Sweep() { s.sweep() }

// Connections tells how many TCP connections of known sources are open.
func (s *Server) Connections() int {
	n := 0
	for _, e := range s.endpoints {
		if e.tcp != nil {
			e.tcp.mu.Lock()
			n += len(e.tcp.open)
			e.tcp.mu.Unlock()
		}
	}
	return n
}

var (
	NewParser     = newParser
	RepairContact = repairContact
	Quoted        = quoted
)

// Refreshing tells whether a session refresh of ours is under way.
func (s *Server) Refreshing() bool {
	for _, d := range s.dialogs.all() {
		d.mu.Lock()
		r := d.timer.requested
		d.mu.Unlock()
		if r {
			return true
		}
	}
	return false
}
