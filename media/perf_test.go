package media

import (
	"runtime"
	"testing"
)

// A recording of two channels is to cost less than 48 KiB, whatever its length.
func TestMemoryOfARecording(t *testing.T) {
	const recordings = 50
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	rigs := make([]*rig, recordings)
	sink := &null{}
	for i := range rigs {
		rigs[i] = newRig(sink)
		for range 500 {
			rigs[i].next()
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := float64(after.HeapAlloc-before.HeapAlloc) / recordings / 1024
	t.Logf("%.1f KiB per recording", each)
	if each > 48 {
		t.Errorf("%.1f KiB per recording", each)
	}
	runtime.KeepAlive(rigs)
}

// BenchmarkPlan is the second pass over an hour of two channels.
func BenchmarkPlan(b *testing.B) {
	sink := &memory{}
	r := newRig(sink)
	for range 2 * 50 * 3600 {
		r.next()
	}
	r.line.close(startTime + 3600e9)
	for b.Loop() {
		var a Assembly
		for _, p := range sink.blocks {
			block, err := UnmarshalBlock(p)
			if err != nil {
				b.Fatal(err)
			}
			a.Add(block)
		}
		plan := a.Finish()
		out := new(counter)
		err := plan.Write(out, func(yield func(Block, error) bool) {
			for _, p := range sink.blocks {
				block, err := UnmarshalBlock(p)
				if !yield(block, err) {
					return
				}
			}
		})
		if err != nil || int64(*out) != plan.DataBytes() {
			b.Fatal(err)
		}
	}
}
