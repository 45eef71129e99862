package policy

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
)

// MaxObjectors is how many entries a list of objectors may have.
const MaxObjectors = 10_000_000

// Objectors are those who have said for good that they do not want to be recorded (R23), as keyed hashes of their numbers and
// addresses: the list names nobody. It does not change and is safe for concurrent use. A nil *Objectors has nobody.
type Objectors struct {
	key    []byte
	hashes map[[16]byte]struct{}
}

// ParseObjectors reads a list: a hash a line, as HashAddress gives it; what follows # is passed over. The key has
// MinSamplingKey bytes at least, and is the same on every node.
func ParseObjectors(b, key []byte) (*Objectors, error) {
	if len(key) < MinSamplingKey {
		return nil, fmt.Errorf("read objectors: the key is shorter than %d bytes", MinSamplingKey)
	}
	o := &Objectors{key: slices.Clone(key), hashes: make(map[[16]byte]struct{})}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		var hash [16]byte
		if len(text) != hex.EncodedLen(len(hash)) {
			return nil, fmt.Errorf("read objectors: line %d: must be %d hexadecimal digits", n, hex.EncodedLen(len(hash)))
		}
		if _, err := hex.Decode(hash[:], []byte(text)); err != nil {
			return nil, fmt.Errorf("read objectors: line %d: must be %d hexadecimal digits", n, hex.EncodedLen(len(hash)))
		}
		if len(o.hashes) == MaxObjectors {
			return nil, fmt.Errorf("read objectors: line %d: more than %d entries", n, MaxObjectors)
		}
		o.hashes[hash] = struct{}{}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read objectors: %w", err)
	}
	return o, nil
}

const objectorWords = "greffier objector v1"

// HashAddress gives the entry of an address of record or a number in a list of objectors. A national number is one of the country,
// an ISO 3166 code, which may be empty.
func HashAddress(key []byte, address, country string) string {
	return hexKeyed(key, objectorWords, PlainAddress(address, country))
}

// PlainAddress gives what HashAddress makes a hash of: the number in E.164, else the number as it is, else "user@host".
func PlainAddress(address, country string) string {
	a := ParseAddress(address)
	p := &party{plan: country}
	p.fields[partyUser], p.fields[partyHost], p.fields[partyNumber] = types.String(a.User), types.String(a.Host), types.String(a.Number)
	return p.address()
}

func (o *Objectors) has(address string) bool {
	_, found := o.hashes[keyed(o.key, objectorWords, address)]
	return found
}

// objected tells whether somebody in the call is on the list.
func (c *call) objected() bool {
	o := c.facts.Objectors
	if o == nil || len(o.hashes) == 0 {
		return false
	}
	return slices.ContainsFunc(c.parties, func(p *party) bool { return o.has(p.address()) })
}
