//go:build linux && !portable

package media_test

import (
	"testing"
	"time"

	"github.com/greffier/greffier/media"
)

// What was pressed since the instant of a yield that lies in the past is the next recording's, and so is its silence.
func TestYieldKeysOfThePast(t *testing.T) {
	const lawful, unlawful = 0x21, 0x22
	r, err := media.NewReceiver(media.Config{}) // not running: the test drains
	if err != nil {
		t.Fatal(err)
	}
	one, two := new(listener), &listener{silence: 1}
	first, second := new(tape), new(tape)
	rec := openKeyed(t, r, first, one, keyed(0), keyed(1))
	p, q := newPhone(t, loopback, rec.Ports()[0]), newPhone(t, loopback, rec.Ports()[1])
	var cut time.Time
	pace(time.Now(), 25, func(i int) {
		said := filled(lawful)
		switch {
		case i == 15:
			cut = time.Now()
		case i == 20:
			q.rawAll(q.press(7)...)
		}
		if i >= 20 {
			said = filled(unlawful)
		}
		p.send(said)
		q.send(said)
	})
	media.NewDrainer().Drain(rec)
	next, err := rec.Yield(cut, []int{0, 1}, media.Open{Channels: 2, Streams: []media.Stream{keyed(0), keyed(1)}, Sink: second, Digits: two.hear})
	if err != nil {
		t.Fatal(err)
	}
	p.send(filled(unlawful))
	closeRecording(t, rec)
	closeRecording(t, next)
	if a, b := one.keys(), two.keys(); a != "17 " || b != "17 " {
		t.Errorf("told the first of %q, the next of %q", a, b)
	}
	if first.contains(unlawful) || second.contains(unlawful) || !second.contains(lawful) {
		t.Errorf("of what was said after the key %d and %d samples are kept, of what was said before %d", count(first, unlawful), count(second, unlawful), count(second, lawful))
	}
}
