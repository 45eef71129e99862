package siprectest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/pion/rtp"
)

// A Stream sends the RTP of one m-line.
type Stream struct {
	spec     StreamSpec
	samples  int           // of one frame
	interval time.Duration // between sender reports
	done     chan struct{} // closed when nothing more will be sent
	sec      *secured      // nil: in clear, and no ICE

	mu       sync.Mutex // protects fields below
	conn     *net.UDPConn
	rtcp     *net.UDPConn // nil without RTCP
	started  bool
	ended    bool
	closed   bool
	epoch    time.Time
	stopAt   time.Duration // from epoch; negative: never
	frame    int64         // the next one
	dest     netip.AddrPort
	rtcpDest netip.AddrPort
	open     bool // both descriptions allow sending
	payload  uint8
	law      law
	events   *uint8 // payload type of telephone events; nil: none were agreed on
	runs     []*run // keys that are pressed, and that are still to be

	header    rtp.Header
	clockLag  int64 // timestamps lag behind the frame count by this many samples
	begun     bool  // a packet took a sequence number
	talking   bool  // the frame before was sent
	rng       *rand.Rand
	loss      lossModel
	changes   struct{ ssrc, jump, rebind int } // how many of each have been done
	delayed   []delayedPacket
	pcm       []int16
	wide      []int16 // source samples around a frame, for a skewed clock
	packet    []byte
	onsets    onsets
	truth     StreamTruth
	errorSum  time.Duration
	sentCount int64
	nextSR    time.Duration
}

type delayedPacket struct {
	at     time.Time
	bytes  []byte
	second bool
}

// rtpHeaderSize is that of a header without contributing sources or extensions (RFC 3550 section 5.1).
const rtpHeaderSize = 12

// newStream binds the sockets of an m-line.
func newStream(addr netip.Addr, spec StreamSpec, interval time.Duration) (*Stream, error) {
	if spec.PTime < 10*time.Millisecond || spec.PTime > 60*time.Millisecond || spec.PTime%time.Millisecond != 0 {
		return nil, fmt.Errorf("stream %q: ptime %v is not 10 to 60 whole milliseconds", spec.Label, spec.PTime)
	}
	if e := spec.Encoded; e != nil && (len(e.Packets) == 0 || e.Format.ClockRate%sampleRate != 0) {
		return nil, fmt.Errorf("stream %q: encoded sound wants payloads, and a clock that is a multiple of %d Hz", spec.Label, sampleRate)
	}
	s := &Stream{spec: spec, samples: int(samples(spec.PTime)), interval: interval, done: make(chan struct{}), stopAt: -1}
	if spec.Security.secured() || spec.Security.ICE || spec.Security.Mux {
		var err error
		if s.sec, err = newSecured(spec.Security); err != nil {
			return nil, fmt.Errorf("stream %q: %w", spec.Label, err)
		}
	}
	if spec.Script.SendFrom.IsValid() {
		addr = spec.Script.SendFrom
	}
	var err error
	if s.conn, s.rtcp, err = bindRTP(addr, spec.RTCP && !s.sec.muxed()); err != nil {
		return nil, fmt.Errorf("stream %q: %w", spec.Label, err)
	}
	s.rng = rand.New(rand.NewPCG(spec.Script.Seed, spec.Script.Seed^0x9e3779b97f4a7c15))
	s.loss = lossModel{share: spec.Script.Loss, burst: spec.Script.LossBurst}
	s.header = rtp.Header{Version: 2, SSRC: rand.Uint32(), SequenceNumber: uint16(rand.Uint32()), Timestamp: rand.Uint32()}
	if spec.SSRC != nil {
		s.header.SSRC = *spec.SSRC
	}
	if spec.Sequence != nil {
		s.header.SequenceNumber = *spec.Sequence
	}
	if spec.Timestamp != nil {
		s.header.Timestamp = *spec.Timestamp
	}
	s.pcm = make([]int16, s.samples)
	s.packet = make([]byte, rtpHeaderSize+s.samples)
	s.truth = StreamTruth{Label: spec.Label, Fates: map[Fate]int64{}}
	if b, ok := spec.Source.(*BurstSource); ok {
		s.truth.Frequency = b.Frequency
	}
	s.onsets.source, _ = spec.Source.(onsetSource)
	return s, nil
}

// bindAttempts bounds the search for an even port with a free odd one above it (RFC 3550 section 11).
const bindAttempts = 50

func bindRTP(addr netip.Addr, withRTCP bool) (conn, rtcp *net.UDPConn, err error) {
	for range bindAttempts {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		if err != nil {
			return nil, nil, fmt.Errorf("open an RTP socket on %s: %w", addr, err)
		}
		if !withRTCP {
			return conn, nil, nil
		}
		port := addrPort(conn.LocalAddr()).Port()
		if port%2 == 0 {
			rtcp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port+1)))
			if err == nil {
				return conn, rtcp, nil
			}
		}
		conn.Close()
	}
	return nil, nil, fmt.Errorf("found no pair of RTP and RTCP ports on %s in %d attempts", addr, bindAttempts)
}

// Label is the stream's label.
func (s *Stream) Label() siprec.Label { return s.spec.Label }

// Done is closed when the stream will send nothing more: its source has ended, or the call's media have.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Port is the local port that packets come from now.
func (s *Stream) Port() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(addrPort(s.conn.LocalAddr()).Port())
}

func (s *Stream) rtcpPort() int {
	if s.rtcp == nil {
		return 0
	}
	return int(addrPort(s.rtcp.LocalAddr()).Port())
}

// direct says where to send, and whether to.
func (s *Stream) direct(m AnswerMedia, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dest, s.rtcpDest = m.Addr, m.RTCP
	if s.sec != nil {
		s.sec.agree(m)
	}
	s.events = nil
	for _, f := range m.Formats {
		if f.Encoding == TelephoneEvent.Encoding {
			s.events = &f.PayloadType
		}
	}
	for _, f := range m.Formats {
		if e := s.spec.Encoded; e != nil {
			if f.PayloadType != e.Format.PayloadType {
				continue
			}
			s.payload, s.open = f.PayloadType, open || s.spec.IgnoreDirection
			return
		}
		if l, err := lawOf(f.Encoding); err == nil {
			s.law, s.payload = l, f.PayloadType
			s.open = open || s.spec.IgnoreDirection
			return
		}
	}
	s.open = false // no format that we can send
}

// shut stops sending before the SRS is told so.
func (s *Stream) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = s.open && s.spec.IgnoreDirection
}

// start lets the pacer send from epoch on.
func (s *Stream) start(p *pacer, epoch time.Time) {
	s.mu.Lock()
	if s.started || s.ended {
		s.mu.Unlock()
		return
	}
	s.started, s.epoch = true, epoch
	s.nextSR = s.interval
	if s.spec.Source == nil {
		s.end()
	}
	ended := s.ended
	s.mu.Unlock()
	if !ended {
		p.add(epoch, s)
	}
}

// stop ends the stream: frames that begin at the instant or later are not sent. With 0 nothing more is.
func (s *Stream) stop(at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopAt = at
	if at <= 0 || !s.started {
		s.end()
	}
}

// end and close are called with mu held, close at the end of the call.
func (s *Stream) end() {
	if !s.ended {
		s.ended = true
		close(s.done)
	}
}

func (s *Stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	if s.closed {
		return
	}
	s.closed = true
	if s.sec != nil && s.sec.close != nil {
		s.sec.close()
	}
	s.conn.Close()
	if s.rtcp != nil {
		s.rtcp.Close()
	}
}

// due is the instant of a frame, from epoch: a clock that is fast sends early.
func (s *Stream) due(frame int64) time.Duration {
	nominal := time.Duration(frame) * s.spec.PTime
	if s.spec.Script.SkewPPM == 0 {
		return nominal
	}
	return time.Duration(float64(nominal) / (1 + s.spec.Script.SkewPPM/1e6))
}

// step sends what is due; the pacer calls it.
func (s *Stream) step(now time.Time) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended {
		at := s.due(s.frame)
		last := s.stopAt >= 0 && at >= s.stopAt
		if last && len(s.delayed) == 0 {
			s.end()
			break
		}
		planned := s.epoch.Add(at)
		if len(s.delayed) > 0 && (last || !s.delayed[0].at.After(planned)) {
			d := s.delayed[0]
			if d.at.After(now) {
				return d.at, true
			}
			s.delayed = s.delayed[1:]
			s.write(d.bytes, d.at, d.second)
			continue
		}
		if planned.After(now) {
			return planned, true
		}
		if !s.sendFrame(at, planned) && len(s.delayed) == 0 {
			s.end()
		}
		s.frame++
		s.report(at)
	}
	return time.Time{}, false
}

// later queues a packet for an instant, in order of the instants.
func (s *Stream) later(d delayedPacket) {
	i, _ := slices.BinarySearchFunc(s.delayed, d, func(a, b delayedPacket) int { return a.at.Compare(b.at) })
	s.delayed = slices.Insert(s.delayed, i, d)
}

// write sends a packet that is in order of its planned instant.
func (s *Stream) write(b []byte, planned time.Time, second bool) error {
	sent, err := s.sec.protect(b)
	if err != nil {
		return err
	}
	if _, err := s.conn.WriteToUDPAddrPort(sent, s.dest); err != nil {
		return err
	}
	late := max(0, time.Since(planned))
	s.errorSum += late
	s.sentCount++
	s.truth.MaxError = max(s.truth.MaxError, late)
	s.truth.Bytes += int64(len(b))
	if second {
		s.truth.Duplicates++
	}
	return nil
}

// snapshot is the truth so far.
func (s *Stream) snapshot() StreamTruth {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.truth
	t.Onsets = slices.Clone(s.onsets.all)
	t.Packets = slices.Clone(s.truth.Packets)
	t.Presses = slices.Clone(s.truth.Presses)
	t.Fates = make(map[Fate]int64, len(s.truth.Fates))
	for f, n := range s.truth.Fates {
		t.Fates[f] = n
	}
	if s.sentCount > 0 {
		t.MeanError = s.errorSum / time.Duration(s.sentCount)
	}
	return t
}
