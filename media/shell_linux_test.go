//go:build linux && !portable

package media

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// provokeError connects the socket and sends, so that the answer to the next
// receive is ECONNREFUSED.
func (s *socket) provokeError(peer netip.AddrPort) error {
	if err := unix.Connect(s.fd, s.address(peer)); err != nil {
		return err
	}
	return unix.Send(s.fd, []byte("x"), unix.MSG_DONTWAIT)
}

// BufferSize is the receive buffer of a stream's RTP socket, as the kernel
// counts it.
func (rec *Recording) BufferSize(stream int) (int, error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return unix.GetsockoptInt(rec.legs[stream].rtp.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
}
