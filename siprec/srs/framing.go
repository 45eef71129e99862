package srs

import (
	"bytes"
	"errors"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/greffier/greffier/siprec"
)

// A framer follows where messages begin and end in a stream, beside sipgo's parser, which tells nobody: who has begun a message
// must end it in time, and one that cannot be taken gets an answer before the connection closes (RFC 3261 section 18.3).
type framer struct {
	state framerState
	began time.Time // the message that is under way
	head  []byte    // its start line and header fields so far
	left  int       // bytes of its body that are still to come

	readable func(head []byte) bool // whether the parser can read a head; nil: not asked
}

type framerState int

const (
	between   framerState = iota // messages; line ends are keep-alives
	inHead                       // of a message
	inBody                       // of a message
	offStream                    // where messages begin is not known any more
)

var (
	errOversized = errors.New("the message is too long")
	errUnframed  = errors.New("the message has no readable length or head")
	errNoSIP     = errors.New("this is no SIP")
)

var headEnd = []byte("\r\n\r\n")

// unfold finds where a header field goes on in the next line (RFC 3261 section 7.3.1).
var unfold = regexp.MustCompile(`\r\n[ \t]+`)

// unfinished tells since when a message is under way.
func (f *framer) unfinished() (time.Time, bool) {
	return f.began, f.state == inHead || f.state == inBody
}

// feed takes what was read, and tells how much of it is good. After an error the stream cannot be followed, and f.head holds
// what came of the message; what of data is before that message is good.
func (f *framer) feed(data []byte, now time.Time) (good int, err error) {
	all := len(data)
	for len(data) > 0 {
		switch f.state {
		case between:
			data = bytes.TrimLeft(data, "\r\n")
			if len(data) == 0 {
				return all, nil
			}
			f.state, f.began, f.head = inHead, now, f.head[:0]
			good = all - len(data)
		case inHead:
			n, err := f.feedHead(data)
			if err != nil {
				f.state = offStream
				return good, err
			}
			data = data[n:]
		case inBody:
			n := min(f.left, len(data))
			data = data[n:]
			if f.left -= n; f.left == 0 {
				f.end()
			}
		case offStream:
			return 0, nil
		}
	}
	return all, nil
}

// feedHead takes as much as belongs to the head, and tells how much that was.
func (f *framer) feedHead(data []byte) (int, error) {
	had := len(f.head)
	take := min(len(data), maxHead-had)
	f.head = append(f.head, data[:take]...)
	if err := f.checkStart(); err != nil {
		return take, err
	}
	i := bytes.Index(f.head[max(0, had-len(headEnd)+1):], headEnd)
	if i < 0 {
		if len(f.head) == maxHead {
			return take, errOversized
		}
		return take, nil
	}
	end := max(0, had-len(headEnd)+1) + i + len(headEnd)
	f.head = f.head[:end]
	length, ok := contentLength(f.head)
	switch {
	case f.readable != nil && !f.readable(f.head): // sipgo would close without a word
		return end - had, errUnframed
	case !ok:
		return end - had, errUnframed
	case length > maxMessage-end:
		return end - had, errOversized
	case length == 0:
		f.end()
	default:
		f.state, f.left = inBody, length
	}
	return end - had, nil
}

// checkStart looks at the start line, once it is whole: SIP's version is in it (RFC 3261 section 7). What is only nearly so is
// the parser's to refuse.
func (f *framer) checkStart() error {
	i := bytes.IndexByte(f.head, '\r')
	if i < 0 {
		if len(f.head) > maxStartLine {
			return errNoSIP
		}
		return nil
	}
	if !bytes.Contains(bytes.ToUpper(f.head[:i]), []byte("SIP")) {
		return errNoSIP
	}
	return nil
}

// end forgets the message, and its memory when that was much.
func (f *framer) end() {
	f.state, f.left = between, 0
	if cap(f.head) > maxKeptHead {
		f.head = nil
	}
}

// contentLength reads the field that says where a message ends; the last one counts, as for sipgo.
func contentLength(head []byte) (int, bool) {
	length, ok := 0, false
	_, head, _ = bytes.Cut(head, []byte("\r\n")) // the start line
	head = unfold.ReplaceAll(head, []byte(" "))
	for line := range strings.SplitSeq(string(head), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if !strings.EqualFold(name, "content-length") && !strings.EqualFold(name, "l") {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
		if err != nil {
			continue // the parser leaves it out too
		}
		length, ok = int(n), true
	}
	return length, ok
}

// A breach is why a connection of a known source is closed.
type breach struct {
	cause  string
	reason string
	answer int // SIP status; 0: none
}

func breachOf(err error) breach {
	switch {
	case errors.Is(err, errOversized):
		return breach{CauseOversized, oversizedReason, 413}
	case errors.Is(err, errUnframed):
		return breach{CauseGarbage, garbageReason, 400}
	}
	return breach{CauseGarbage, garbageReason, 0}
}

// reads tells whether the parser can read the header fields of a message.
func (c *screen) reads(head []byte) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	_, _, err := c.parser.ParseHeaders(head, true)
	return err == nil
}

// broken counts what a source did on a stream, and gives the answer to the message with this head; nil for none.
func (c *screen) broken(b breach, head []byte, from netip.AddrPort, src *Source) []byte {
	q, status := c.quotas[src], b.answer
	if status == 0 {
		status = 400
	}
	q.count(Refused{Status: status, Kind: siprec.Malformed, Cause: b.cause, Reason: b.reason})
	if b.answer == 0 {
		return nil
	}
	f := &failure{status: b.answer, reason: b.reason}
	answer, _ := c.answer(q, head, from, word{b.answer, f.fields()})
	return answer
}
