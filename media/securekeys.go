package media

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v5/replaydetector"
)

const (
	// replayWindow is how many packets back a packet may be late, and is still told from a replay: 20 s of 50 packets/s, more
	// than LateLimit.
	replayWindow = 1024

	// maxSecureSources bounds the SSRCs that one key may have: each takes half a KiB as long as the key lasts. Only the holder of
	// the key can make any.
	maxSecureSources = 4096
)

// An opening is what became of a protected packet.
type opening int

const (
	opened   opening = iota
	forged           // not authentic, or not readable
	replayed         // came before, or too late to tell
)

// Keys protect the packets of one socket pair: theirs for what comes, ours for what goes.
type keys struct {
	in, out   *srtp.Context
	again     func(...srtp.ContextOption) (*srtp.Context, error) // makes another like in, of which nothing was heard
	replay    bool                                               // the packet at hand came before
	index     uint64                                             // of the packet at hand (RFC 3711 section 3.3.1)
	heard     map[uint32]*heard
	last      *heard        // the source heard last; never nil
	reporters int           // sources of reports that were heard
	trial     *srtp.Context // to look at replays; nil until there are any
	nextTry   int64         // when other roll-over counters may be tried again
	header    rtp.Header
}

// A heard is a source of which something was authentic.
type heard struct {
	ssrc uint32
	last uint64 // the highest index
	at   int64  // when it came
}

// profile finds the suite.
func (s Suite) profile() (srtp.ProtectionProfile, error) {
	switch s {
	case "AES_CM_128_HMAC_SHA1_80":
		return srtp.ProtectionProfileAes128CmHmacSha1_80, nil
	case "AES_CM_128_HMAC_SHA1_32":
		return srtp.ProtectionProfileAes128CmHmacSha1_32, nil
	case "AES_256_CM_HMAC_SHA1_80":
		return srtp.ProtectionProfileAes256CmHmacSha1_80, nil
	case "AES_256_CM_HMAC_SHA1_32":
		return srtp.ProtectionProfileAes256CmHmacSha1_32, nil
	case "AEAD_AES_128_GCM":
		return srtp.ProtectionProfileAeadAes128Gcm, nil
	case "AEAD_AES_256_GCM":
		return srtp.ProtectionProfileAeadAes256Gcm, nil
	}
	return 0, fmt.Errorf("SRTP suite %q is not known", string(s))
}

// keys makes the contexts of keys that were told.
func (s *SDES) keys() (*keys, error) {
	profile, err := s.Suite.profile()
	if err != nil {
		return nil, err
	}
	return newKeys(profile, s.Theirs, s.Ours)
}

func newKeys(profile srtp.ProtectionProfile, theirs []MasterKey, ours Key) (*keys, error) {
	if len(theirs) == 0 {
		return nil, errors.New("SRTP without a key of the sender")
	}
	k := &keys{heard: map[uint32]*heard{}, last: &heard{}, again: func(o ...srtp.ContextOption) (*srtp.Context, error) {
		return newContext(profile, theirs, o...)
	}}
	var err error
	if k.in, err = k.again(srtp.SRTPReplayDetectorFactory(k.window), srtp.SRTCPReplayDetectorFactory(k.windowRTCP)); err != nil {
		return nil, err
	}
	key, salt, err := split(profile, ours)
	if err != nil {
		return nil, err
	}
	if k.out, err = srtp.CreateContext(key, salt, profile); err != nil {
		return nil, fmt.Errorf("make SRTCP context: %w", err)
	}
	return k, nil
}

func newContext(profile srtp.ProtectionProfile, theirs []MasterKey, options ...srtp.ContextOption) (*srtp.Context, error) {
	var c *srtp.Context
	for i, m := range theirs {
		key, salt, err := split(profile, m.Key)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			if err := c.AddCipherForMKI(m.MKI, key, salt); err != nil {
				return nil, fmt.Errorf("add SRTP key: %w", err)
			}
			continue
		}
		c, err = srtp.CreateContext(key, salt, profile, append(options, srtp.MasterKeyIndicator(m.MKI))...)
		if err != nil {
			return nil, fmt.Errorf("make SRTP context: %w", err)
		}
	}
	return c, nil
}

func split(profile srtp.ProtectionProfile, k Key) (key, salt []byte, err error) {
	keyLen, err1 := profile.KeyLen()
	saltLen, err2 := profile.SaltLen()
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, fmt.Errorf("find SRTP key lengths: %w", err)
	}
	b := k.bytes()
	if len(b) != keyLen+saltLen {
		return nil, nil, fmt.Errorf("SRTP key of %d bytes: want %d", len(b), keyLen+saltLen)
	}
	return b[:keyLen], b[keyLen:], nil
}

// A window is a replay detector that tells us which index it is asked for, and of what it refuses; the library's error cannot be told
// from others.
type window struct {
	replaydetector.ReplayDetector
	replaydetector.CheckAccepter
	keys *keys
}

// CheckSeq implements replaydetector.CheckAccepter.
func (w window) CheckSeq(seq uint64) replaydetector.Token {
	token := w.CheckAccepter.CheckSeq(seq)
	w.keys.index, w.keys.replay = seq, !token.Passed()
	return token
}

func (k *keys) newWindow(most uint64) replaydetector.ReplayDetector {
	d := replaydetector.New(replayWindow, most)
	if c, ok := d.(replaydetector.CheckAccepter); ok {
		return window{d, c, k}
	}
	return d
}

func (k *keys) window() replaydetector.ReplayDetector     { return k.newWindow(1<<48 - 1) }
func (k *keys) windowRTCP() replaydetector.ReplayDetector { return k.newWindow(1<<31 - 1) }

// source gives what was heard of a packet's source; nil when nothing was authentic yet.
func (k *keys) source(packet []byte) *heard {
	ssrc := binary.BigEndian.Uint32(packet[8:])
	if ssrc == k.last.ssrc && len(k.heard) > 0 {
		return k.last
	}
	return k.heard[ssrc]
}

// open takes the protection off an RTP packet, and writes into dst, which may be the packet itself. After a failure dst is
// undefined.
func (k *keys) open(dst, packet []byte, at int64) ([]byte, opening) {
	if len(packet) < rtpFixedHeader {
		return nil, forged
	}
	s := k.source(packet)
	if s == nil && len(k.heard) == maxSecureSources {
		return nil, forged
	}
	k.replay = false
	plain, err := k.in.DecryptRTP(dst, packet, &k.header)
	switch {
	case err == nil:
		if s == nil {
			s = &heard{ssrc: k.header.SSRC}
			k.heard[s.ssrc] = s
		}
		s.last, s.at, k.last = max(s.last, k.index), at, s
		return plain, opened
	case k.replay:
		return nil, replayed
	}
	return nil, forged
}

// openRTCP takes the protection off an RTCP packet, likewise.
func (k *keys) openRTCP(dst, packet []byte) ([]byte, opening) {
	if len(packet) < 8 {
		return nil, forged
	}
	_, known := k.in.Index(binary.BigEndian.Uint32(packet[4:]))
	if !known && k.reporters == maxSecureSources {
		return nil, forged
	}
	k.replay = false
	plain, err := k.in.DecryptRTCP(dst, packet, nil)
	switch {
	case err == nil:
		if !known {
			k.reporters++
		}
		return plain, opened
	case k.replay:
		return nil, replayed
	}
	return nil, forged
}

// authentic tells whether a packet that was just refused as a replay is one. What is in clear may look like one.
func (k *keys) authentic(dst []byte, report bool, packet []byte) bool {
	if k.trial == nil {
		var err error
		if k.trial, err = k.again(); err != nil {
			return false
		}
	}
	var err error
	if report {
		_, err = k.trial.DecryptRTCP(dst, packet, nil)
	} else {
		k.trial.SetROC(binary.BigEndian.Uint32(packet[8:]), uint32(k.index>>16))
		_, err = k.trial.DecryptRTP(dst, packet, &k.header)
	}
	return err == nil
}

// seal protects an RTCP packet of ours.
func (k *keys) seal(packet []byte) ([]byte, error) {
	b, err := k.out.EncryptRTCP(nil, packet, nil)
	if err != nil {
		return nil, fmt.Errorf("protect receiver report: %w", err)
	}
	return b, nil
}
