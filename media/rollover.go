package media

import (
	"encoding/binary"
	"time"
)

// An SRTP packet carries the low 16 bits of its index only; how often they rolled over is a guess (RFC 3711 section 3.3.1). The guess
// is wrong for a source of which the beginning was lost, which outlived a change of keys, or of which 2^15 packets and more in a row
// were lost. Then other counters are tried: which one is right the packet's authentication tells.
const (
	// maxRollovers is how far the counters go that are tried: 8 are 3 h of 50 packets/s.
	maxRollovers = 8

	// rolloverSilence is how long nothing authentic came of a source of which so many were lost: 2^15 packets of 2.5 ms are 82 s.
	rolloverSilence = int64(time.Minute)

	// rolloverEvery is the least time between two tries with one key, so that forgeries cost no more than a try each.
	rolloverEvery = int64(50 * time.Millisecond)
)

// settled tells that the guess at a packet's index needs no help.
func (k *keys) settled(packet []byte, at int64) bool {
	s := k.source(packet)
	return s != nil && at-s.at < rolloverSilence
}

// openRolled tries a packet that open did not take with other roll-over counters. before is the source's last index under the keys of
// before, which do not begin a new count; 0 when there is none. The packet must have at least a fixed header.
func (k *keys) openRolled(dst, packet []byte, at int64, before uint64) ([]byte, opening) {
	if k.settled(packet, at) || at < k.nextTry {
		return nil, forged
	}
	k.nextTry = at + rolloverEvery
	trial, err := k.again() // of its own: a failure leaves no trace in ours
	if err != nil {
		return nil, forged
	}
	s, last := k.source(packet), before
	if s != nil {
		last = s.last
	}
	ssrc, sequence := binary.BigEndian.Uint32(packet[8:]), uint64(binary.BigEndian.Uint16(packet[2:]))
	for n := range uint64(maxRollovers + 1) {
		counter := last>>16 + n
		if s != nil && counter<<16|sequence <= last {
			continue // a replay
		}
		trial.SetROC(ssrc, uint32(counter))
		if _, err := trial.DecryptRTP(dst, packet, &k.header); err == nil {
			k.in.SetROC(ssrc, uint32(counter))
			return k.open(dst, packet, at)
		}
	}
	return nil, forged
}

// keep notes the last index of each source of keys that end.
func (s *side) keep(k *keys) {
	if s.rolled == nil || len(s.rolled)+len(k.heard) > maxSecureSources {
		s.rolled = make(map[uint32]uint64, len(k.heard))
	}
	for ssrc, h := range k.heard {
		s.rolled[ssrc] = h.last
	}
}
