package codec

import "testing"

// A panic of the library costs a stream its past, and no more.
func TestOpusPanicIsContained(t *testing.T) {
	d, err := newOpus(48000)
	if err != nil {
		t.Fatal(err)
	}
	before := d.lib
	if _, err := d.guard(func() (int, error) { panic("index out of range") }); err == nil {
		t.Error("no error")
	}
	if d.lib == before {
		t.Error("the decoder that panicked is used again")
	}
	if pcm, err := d.Decode(nil, []byte{19 << 3, 1, 2, 3, 4, 5, 6, 7}); err != nil || len(pcm) != 960 {
		t.Errorf("the next packet: %d samples, %v", len(pcm), err)
	}
}
