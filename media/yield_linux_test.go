//go:build linux && !portable

package media_test

import (
	"testing"
	"time"

	"github.com/greffier/greffier/media"
)

// What the kernel dropped before the cut is told of the one recording only.
func TestYieldKernelDrops(t *testing.T) {
	r, err := media.NewReceiver(media.Config{})
	if err != nil {
		t.Fatal(err)
	}
	rec := openRecording(t, r, discard{}, pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	for range media.ReceiveBuffer / 256 { // twice as many as there is room for
		p.quick(filled(0x21))
	}
	next := yieldTo(t, rec, time.Time{}, discard{}, []int{0}, pcmu(0))
	p.quick(filled(0x22))
	a, b := closeRecording(t, rec).Streams[0], closeRecording(t, next).Streams[0]
	if a.KernelDrops == 0 || b.KernelDrops != 0 || b.Packets != 1 {
		t.Errorf("%d and %d datagrams dropped, %d packets came after", a.KernelDrops, b.KernelDrops, b.Packets)
	}
}
