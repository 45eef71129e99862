package media

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"syscall"
)

// ErrNoPorts says that no pair of ports is left for another stream.
var ErrNoPorts = errors.New("no free pair of RTP and RTCP ports: widen the media port range (two ports for each stream that is recorded at one time), or lower the limit of dialogs")

const (
	// receiveBuffer is the receive buffer asked for each RTP socket, in bytes:
	// 5 s of 50 packets/s, at 768 bytes of kernel memory for a small packet and
	// up to three times that behind some network drivers, as the kernel
	// doubles the figure.
	receiveBuffer = 512 << 10

	// portTries bounds the pairs that one Open tries, when other programs hold
	// ports in our range: a bind costs some 10 µs, and INVITE is waiting.
	portTries = 64
)

// A pair is the two sockets of one stream: RTP on an even port, RTCP on the
// next one (RFC 3550 section 11).
type pair struct {
	rtp, rtcp *socket
}

func (p pair) close() error { return errors.Join(p.rtp.close(), p.rtcp.close()) }

// A portRange hands out pairs of ports. A port that was given back waits behind
// all others, so that stragglers of the old stream do not reach a new one.
type portRange struct {
	addr      netip.Addr
	ephemeral bool // any port of the system's choice; nothing is kept in free

	mu   sync.Mutex // protects free
	free []uint16   // even ports, the one unused for longest first
}

// newPortRange checks the range; 0 and 0 let the system choose.
func newPortRange(addr netip.Addr, first, last int) (*portRange, error) {
	p := &portRange{addr: addr, ephemeral: first == 0 && last == 0}
	if p.ephemeral {
		return p, nil
	}
	if first < 1 || last > 65535 || last <= first {
		return nil, fmt.Errorf("media ports %d to %d: want a range within 1 to 65535, or 0 and 0 for any port", first, last)
	}
	for port := first + first%2; port+1 <= last; port += 2 {
		p.free = append(p.free, uint16(port))
	}
	if len(p.free) == 0 {
		return nil, fmt.Errorf("media ports %d to %d: an even port and the next one do not fit in it", first, last)
	}
	// After a restart, senders that have not noticed go on with the old ports:
	// start somewhere else.
	start := rand.IntN(len(p.free))
	p.free = append(p.free[start:len(p.free):len(p.free)], p.free[:start]...)
	return p, nil
}

func (p *portRange) take() (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return 0, false
	}
	port := p.free[0]
	p.free = p.free[1:]
	return int(port), true
}

func (p *portRange) giveBack(port int) {
	if p.ephemeral {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, uint16(port))
}

// available is the number of pairs that could be taken, for bounding tries.
func (p *portRange) available() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.free)
}

// open binds a pair. The error is ErrNoPorts when there is none, or the
// system's.
func (p *portRange) open() (pair, error) {
	if p.ephemeral {
		return p.openAny()
	}
	for range min(p.available(), portTries) {
		port, ok := p.take()
		if !ok {
			break
		}
		opened, err := p.bind(port)
		if err == nil {
			return opened, nil
		}
		p.giveBack(port)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return pair{}, err
		}
	}
	return pair{}, ErrNoPorts
}

// bind opens the pair at an even port.
func (p *portRange) bind(port int) (pair, error) {
	rtp, err := openSocket(p.addr, port, receiveBuffer)
	if err != nil {
		return pair{}, fmt.Errorf("open RTP port %d: %w", port, err)
	}
	rtcp, err := openSocket(p.addr, port+1, 0)
	if err != nil {
		return pair{}, errors.Join(fmt.Errorf("open RTCP port %d: %w", port+1, err), rtp.close())
	}
	return pair{rtp, rtcp}, nil
}

// openAny lets the system choose one port, and takes the neighbour that makes
// an even and an odd one.
func (p *portRange) openAny() (pair, error) {
	for range portTries {
		one, err := openSocket(p.addr, 0, receiveBuffer)
		if err != nil {
			return pair{}, fmt.Errorf("open RTP port: %w", err)
		}
		other, err := openSocket(p.addr, one.port^1, receiveBuffer)
		switch {
		case err == nil && one.port%2 == 0:
			return pair{one, other}, nil
		case err == nil:
			return pair{other, one}, nil
		}
		if closing := one.close(); closing != nil || !errors.Is(err, syscall.EADDRINUSE) {
			return pair{}, errors.Join(fmt.Errorf("open RTP port %d: %w", one.port^1, err), closing)
		}
	}
	return pair{}, ErrNoPorts
}

// release closes a pair and gives its port back.
func (p *portRange) release(x pair) error {
	err := x.close()
	p.giveBack(x.rtp.port)
	return err
}
