package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// lineFormat is the number of the format that doc.go describes; the first entry of a log names it.
const lineFormat = 1

// The fixed text of a line, in order. Subject, outcome and actor may be missing.
const (
	textID      = `{"specversion":"1.0","id":`
	textSource  = `,"source":`
	textType    = `,"type":`
	textSubject = `,"subject":`
	textTime    = `,"time":`
	textSeq     = `,"datacontenttype":"application/json","seq":`
	textPrev    = `,"prevhash":`
	textOutcome = `,"outcome":`
	textActor   = `,"actor":`
	textData    = `,"data":`
)

// A draft is a line but for its place in the log.
type draft struct {
	event        Event
	source       string
	data         []byte
	before, tail []byte // what stands before seq's value and behind prevhash's
}

// newDraft encodes an event. It refuses what Event.normal refuses, and what would make a line longer than MaxLine.
func newDraft(e Event, source string) (*draft, error) {
	e, data, err := e.normal()
	if err != nil {
		return nil, err
	}
	d := &draft{event: e, source: source, data: data}
	b := appendString([]byte(textID), e.ID)
	b = appendString(append(b, textSource...), source)
	b = appendString(append(b, textType...), TypePrefix+e.Type)
	b = appendOptional(b, textSubject, e.Subject)
	b = appendString(append(b, textTime...), e.Time.Format(time.RFC3339Nano))
	d.before = append(b, textSeq...)
	b = appendOptional(nil, textOutcome, string(e.Outcome))
	b = appendOptional(b, textActor, e.Actor)
	b = append(append(b, textData...), data...)
	d.tail = append(b, '}')
	longest := len(d.before) + len(strconv.Itoa(MaxEntries)) + len(textPrev) + 2 + hex.EncodedLen(sha256.Size) + len(d.tail)
	if longest > MaxLine {
		return nil, fmt.Errorf("the entry is %d bytes long and the limit is %d: put less into its data", longest, MaxLine)
	}
	return d, nil
}

// place completes the line.
func (d *draft) place(seq int64, prev Hash) Entry {
	line := make([]byte, 0, len(d.before)+len(d.tail)+100)
	line = strconv.AppendInt(append(line, d.before...), seq, 10)
	line = append(append(line, textPrev...), '"')
	line = append(hex.AppendEncode(line, prev[:]), '"')
	line = append(line, d.tail...)
	e := d.event
	return Entry{
		Seq: seq, ID: e.ID, Time: e.Time, Type: e.Type, Subject: e.Subject, Outcome: e.Outcome, Actor: e.Actor, Data: d.data,
		Source: d.source, PrevHash: prev, Hash: sha256.Sum256(line), Line: line,
	}
}

func appendOptional(b []byte, text, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(append(b, text...), value)
}

// appendString writes a string that has no control characters.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// parseLine reads a line that is written in the one way that is allowed, and no other. The Entry keeps line.
func parseLine(line []byte) (Entry, error) {
	c := cursor{rest: line}
	e := Entry{Hash: sha256.Sum256(line), Line: line}
	if len(line) > MaxLine {
		return e, fmt.Errorf("the line is longer than %d bytes", MaxLine)
	}
	e.ID = c.text(textID)
	e.Source = c.text(textSource)
	kind := c.text(textType)
	e.Subject = c.optional(textSubject)
	clock := c.text(textTime)
	e.Seq = c.integer(textSeq)
	prev := c.text(textPrev)
	e.Outcome = Outcome(c.optional(textOutcome))
	e.Actor = c.optional(textActor)
	c.expect(textData)
	data, ok := bytes.CutSuffix(c.rest, []byte("}"))
	if c.err == nil && !ok {
		c.err = errors.New("the object does not end")
	}
	if c.err != nil {
		return e, c.err
	}
	e.Data = json.RawMessage(data)
	return e, e.complete(kind, clock, prev)
}

// complete judges the fields, and fills those that are more than text.
func (e *Entry) complete(kind, clock, prev string) error {
	var ok bool
	if e.Type, ok = strings.CutPrefix(kind, TypePrefix); !ok {
		return fmt.Errorf("type does not begin with %s", TypePrefix)
	}
	at, err := time.Parse(time.RFC3339Nano, clock)
	if err != nil || at.UTC().Format(time.RFC3339Nano) != clock {
		return errors.New("time is not written as it should be")
	}
	e.Time = at.UTC()
	if e.Source == "" {
		return errors.New("source is empty")
	}
	if err := e.PrevHash.UnmarshalText([]byte(prev)); err != nil {
		return fmt.Errorf("prevhash: %w", err)
	}
	if err := checkFields(e.ID, e.Type, e.Outcome, e.Time); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Compact(&b, e.Data); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if e.Data[0] != '{' || !bytes.Equal(b.Bytes(), e.Data) || !utf8.Valid(e.Data) {
		return errors.New("data is not an object in UTF-8 without white space")
	}
	return nil
}

// A cursor goes through a line. After the first error it stands still.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) expect(text string) {
	rest, ok := bytes.CutPrefix(c.rest, []byte(text))
	if !ok && c.err == nil {
		c.err = fmt.Errorf("%q is missing", strings.Trim(text, ",{:"))
	}
	if c.err == nil {
		c.rest = rest
	}
}

// text reads fixed text and the string behind it.
func (c *cursor) text(before string) string {
	c.expect(before)
	if c.err != nil {
		return ""
	}
	if len(c.rest) == 0 || c.rest[0] != '"' {
		c.err = fmt.Errorf("no string behind %q", before)
		return ""
	}
	var s []byte
	for i := 1; i < len(c.rest); i++ {
		switch b := c.rest[i]; b {
		case '"':
			c.rest = c.rest[i+1:]
			if !clean(string(s)) {
				c.err = fmt.Errorf("control characters, or not UTF-8, behind %q", before)
			}
			return string(s)
		case '\\':
			i++
			if i == len(c.rest) || c.rest[i] != '"' && c.rest[i] != '\\' {
				c.err = fmt.Errorf("an escape that is not allowed behind %q", before)
				return ""
			}
			s = append(s, c.rest[i])
		default:
			s = append(s, b)
		}
	}
	c.err = fmt.Errorf("the string behind %q does not end", before)
	return ""
}

// optional reads fixed text and a string that is not empty, or nothing.
func (c *cursor) optional(before string) string {
	if c.err != nil || !bytes.HasPrefix(c.rest, []byte(before)) {
		return ""
	}
	s := c.text(before)
	if s == "" && c.err == nil {
		c.err = fmt.Errorf("empty string behind %q", before)
	}
	return s
}

// integer reads fixed text and a number from 0 to MaxEntries-1.
func (c *cursor) integer(before string) int64 {
	c.expect(before)
	if c.err != nil {
		return 0
	}
	n := 0
	for n < len(c.rest) && c.rest[n] >= '0' && c.rest[n] <= '9' {
		n++
	}
	v, err := strconv.ParseInt(string(c.rest[:n]), 10, 32)
	if err != nil || v >= MaxEntries || strconv.FormatInt(v, 10) != string(c.rest[:n]) {
		c.err = fmt.Errorf("no number behind %q", before)
		return 0
	}
	c.rest = c.rest[n:]
	return v
}
