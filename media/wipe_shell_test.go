package media_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/greffier/greffier/media"
)

// Of what a paused recording, or one that is closed, has received there is nothing in memory, in clear or opened.
func TestNothingIsLeftInTheReceiver(t *testing.T) {
	secret := bytes.Repeat([]byte{0x22, 0x57, 0x33, 0x44}, frameSize/4)
	key := bytes.Repeat([]byte{1}, 30)
	for name, stream := range map[string]media.Stream{"in clear": pcmu(0), "protected": secured(pcmu(0), key)} {
		t.Run(name, func(t *testing.T) {
			r, err := media.NewReceiver(media.Config{}) // not running: the test drains
			if err != nil {
				t.Fatal(err)
			}
			sink := new(tape)
			rec := openRecording(t, r, sink, stream)
			p := newPhone(t, loopback, rec.Ports()[0])
			send := p.send
			if name == "protected" {
				ctx := sealing(t, key)
				send = func(payload []byte) { p.secureSend(ctx, payload) }
			}
			d := media.NewDrainer()
			holds := func() bool { return d.Holds(secret[:64]) || rec.Holds(secret[:64]) }

			pace(time.Now(), 10, func(int) { send(secret) })
			d.Drain(rec)
			if d.Holds(secret[:64]) || !rec.Holds(secret[:64]) {
				t.Error("what was received is in the batch, or is not in the ring")
			}
			if err := rec.SetPaused(true, media.CausePaused, time.Now().Add(-time.Second)); err != nil {
				t.Fatal(err)
			}
			if holds() {
				t.Error("what was taken back is in memory")
			}
			for range 40 { // more than a batch
				send(secret)
			}
			d.Drain(rec)
			if holds() {
				t.Error("what came in the pause is in memory")
			}
			if err := rec.SetPaused(false, "", time.Time{}); err != nil {
				t.Fatal(err)
			}
			pace(time.Now(), 40, func(int) { send(secret) })
			d.Drain(rec)
			closeRecording(t, rec)
			if holds() {
				t.Error("what was recorded is in memory after its end")
			}
			if !bytes.Contains(bytes.Join(data(sink), nil), secret[:64]) {
				t.Error("what was said after the pause was not recorded")
			}
		})
	}
}

func data(k *tape) (all [][]byte) {
	for _, b := range k.all() {
		all = append(all, b.Data)
	}
	return all
}
