package policy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
)

// A Sample is the share of calls that is recorded, in units of 10^-12.
type Sample uint64

// All is the sample that leaves nothing out.
const All Sample = 1e12

// MinSamplingKey is the least length of a sampling key, in bytes.
const MinSamplingKey = 16

var (
	percentForm  = regexp.MustCompile(`^([0-9]{1,3})(?:\.([0-9]{1,10}))?%$`)
	fractionForm = regexp.MustCompile(`^([01])(?:\.([0-9]{1,12}))?$`)
)

// ParseSample reads a share: a percentage such as "10%" or "0.5%", or a fraction from 0 to 1 such as "0.1".
func ParseSample(s string) (Sample, error) {
	decimals := 10
	m := percentForm.FindStringSubmatch(s)
	if m == nil {
		decimals = 12
		m = fractionForm.FindStringSubmatch(s)
	}
	if m == nil {
		return 0, fmt.Errorf("%q is not a share: write a percentage such as 10%% or a fraction such as 0.1", s)
	}
	n, err := strconv.ParseUint(m[1]+m[2]+strings.Repeat("0", decimals-len(m[2])), 10, 64)
	if err != nil || Sample(n) > All {
		return 0, fmt.Errorf("%q is more than 100%%", s)
	}
	return Sample(n), nil
}

// String gives the share as a percentage.
func (s Sample) String() string {
	whole, part := uint64(s)/1e10, uint64(s)%1e10
	if part == 0 {
		return strconv.FormatUint(whole, 10) + "%"
	}
	return strings.TrimRight(fmt.Sprintf("%d.%010d", whole, part), "0") + "%"
}

// MarshalText gives the share as a percentage.
func (s Sample) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a share as ParseSample does.
func (s *Sample) UnmarshalText(b []byte) error {
	v, err := ParseSample(string(b))
	if err == nil {
		*s = v
	}
	return err
}

// Partial tells whether the sample takes some calls and leaves others out.
func (s Sample) Partial() bool { return s > 0 && s < All }

// Takes tells whether a draw belongs to the sample: whether the draw, as a fraction of 2^64, is below the share.
func (s Sample) Takes(draw uint64) bool {
	if s >= All {
		return true
	}
	return draw < s.Threshold()
}

// Threshold is the first draw that does not belong to the sample: the share as a fraction of 2^64, rounded down. The largest
// number stands for All, which every draw belongs to.
func (s Sample) Threshold() uint64 {
	if s >= All {
		return math.MaxUint64
	}
	threshold, _ := bits.Div64(uint64(s), 0, uint64(All))
	return threshold
}

// Draw is the number that decides whether a call is in the sample of a class: the first 64 bits of
// HMAC-SHA-256(key, "greffier sample v1" 0x00 class 0x00 callKey).
func Draw(key []byte, class, callKey string) uint64 {
	h := hmac.New(sha256.New, key)
	message := make([]byte, 0, 128)
	message = append(message, "greffier sample v1\x00"...)
	message = append(message, class...)
	message = append(message, 0)
	message = append(message, callKey...)
	h.Write(message)
	var sum [sha256.Size]byte
	return binary.BigEndian.Uint64(h.Sum(sum[:0]))
}
