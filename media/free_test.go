package media

import (
	"testing"
	"time"
)

// TestFreePorts counts pairs as they are taken and given back.
func TestFreePorts(t *testing.T) {
	any, err := NewReceiver(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if n, known := any.FreePorts(); known {
		t.Errorf("%d ports of the system's choice are free", n)
	}
	r, err := NewReceiver(Config{PortMin: 41000, PortMax: 41019})
	if err != nil {
		t.Fatal(err)
	}
	free := func() int {
		n, known := r.FreePorts()
		if !known {
			t.Fatal("a range is not known")
		}
		return n
	}
	if free() != 10 {
		t.Errorf("%d pairs are free, want 10", free())
	}
	rec, err := r.Open(Open{Channels: 2, Streams: []Stream{{}, {Channel: 1}}, Sink: nowhere{}})
	if err != nil {
		t.Fatal(err)
	}
	if free() != 8 {
		t.Errorf("%d pairs are free, want 8", free())
	}
	if _, err := rec.Close(time.Now()); err != nil {
		t.Fatal(err)
	}
	if free() != 10 {
		t.Errorf("%d pairs are free, want 10", free())
	}
}

type nowhere struct{}

func (nowhere) Append(*Block) error { return nil }
