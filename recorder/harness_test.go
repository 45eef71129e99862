package recorder_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/spool"
	"github.com/greffier/greffier/storage/storagetest"
)

// A bench is a recorder with every part real, but for the store, which is the strict fake.
type bench struct {
	*recorder.Recorder
	t        *testing.T
	dir      string
	store    *storagetest.Fake
	spool    *spool.Spool
	archive  *recorder.Archive
	stop     func()
	receiver *media.Receiver

	directory atomic.Pointer[policy.Directory] // in force
	objectors atomic.Pointer[policy.Objectors] // likewise
}

var loopback = netip.MustParseAddr("127.0.0.1")

// newBench opens a recorder in dir; with run it works on its spool.
func newBench(t *testing.T, dir string, store *storagetest.Fake, policyFile string, run bool) *bench {
	t.Helper()
	return newBenchOn(t, dir, store, policyFile, run, media.Config{Addr: loopback})
}

func newBenchOn(t *testing.T, dir string, store *storagetest.Fake, policyFile string, run bool, ports media.Config) *bench {
	t.Helper()
	return newBenchWith(t, benchParts{dir: dir, store: store, policyFile: policyFile, run: run, ports: ports})
}

// benchParts are what a bench is made of. A nil clock is the real one.
type benchParts struct {
	dir        string
	store      storage.Store
	policyFile string
	run        bool
	ports      media.Config
	clock      func() time.Time
	observe    func(recorder.Observation)
	erases     bool   // there is an eraser
	eraser     eraser // of a store that does not give its own
	workers    int
}

// An eraser is that of whichever store.
type eraser interface {
	Erase(ctx context.Context, ref storage.Ref) error
}

// eraserOf gives the eraser of a store that has one.
func eraserOf(store storage.Store) eraser {
	switch s := store.(type) {
	case *storagetest.Fake:
		return s.Eraser()
	case *storage.Dir:
		return storage.NewDirEraser(s)
	}
	return nil
}

func newBenchWith(t *testing.T, parts benchParts) *bench {
	t.Helper()
	dir, store := parts.dir, parts.store
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := policy.Load(parts.policyFile, policy.Options{SamplingKey: make([]byte, 32), Can: policy.Anything()})
	must(err)
	wrapper, err := seal.LocalFile(filepath.Join(dir, "kek"))
	must(err)
	keys, err := seal.OpenKeys(t.Context(), filepath.Join(dir, "keys"), wrapper)
	must(err)
	sp, err := spool.Open(filepath.Join(dir, "spool"), spool.Options{})
	must(err)
	cat, err := catalog.Open(filepath.Join(dir, "catalog.sqlite"))
	must(err)
	log, err := audit.Open(filepath.Join(dir, "audit"), audit.Options{})
	must(err)
	receiver, err := media.NewReceiver(parts.ports)
	must(err)
	b := &bench{t: t, dir: dir, receiver: receiver, spool: sp}
	b.store, _ = store.(*storagetest.Fake)
	eraser := parts.eraser
	if parts.erases {
		eraser = eraserOf(store)
	}
	rec, err := recorder.New(recorder.Config{
		Eraser:    eraser,
		Directory: b.directory.Load, Objectors: b.objectors.Load,
		Policy: func() *policy.Policy { return p }, Receiver: receiver, Spool: sp, Keys: keys, Store: store, Catalog: cat, Audit: log, PseudonymKey: make([]byte, 32),
		FactsKey: factsKey, Clock: parts.clock, Observe: parts.observe, Workers: parts.workers,
	})
	must(err)
	must(rec.Recover(t.Context()))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 3)
	go func() { ended <- receiver.Run(ctx) }()
	go func() { ended <- rec.Follow(ctx) }()
	go func() {
		if parts.run {
			ended <- rec.Run(ctx)
		} else {
			ended <- nil
		}
	}()
	b.Recorder = rec
	b.archive = &recorder.Archive{
		Store: store, Eraser: eraser, Keys: keys, Catalog: cat, Audit: log, AuditDir: filepath.Join(dir, "audit"), SpoolDir: filepath.Join(dir, "spool"), PseudonymKey: make([]byte, 32),
		Clock: parts.clock,
	}
	stopped := false
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-ended, <-ended, <-ended, sp.Close(), cat.Close(), log.Close()); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	t.Cleanup(b.stop)
	return b
}

// invitation is an offer of two PCMU streams.
func invitation(callID string) siprec.Invitation {
	offer := &siprec.Offer{}
	for _, label := range []siprec.Label{"1", "2"} {
		offer.Media = append(offer.Media, siprec.Media{
			Type: "audio", Port: 40000, Protocol: "RTP/AVP", Addr: loopback, Label: label, Direction: siprec.SendOnly,
			Formats: []siprec.Format{{PayloadType: 0, Encoding: "PCMU", ClockRate: 8000, Channels: 1}},
		})
	}
	return siprec.Invitation{
		Dialog: siprec.DialogID{CallID: callID, LocalTag: "l", RemoteTag: "r"}, SRC: "test", Source: netip.AddrPortFrom(loopback, 5060),
		Local: loopback, Offer: offer, At: time.Now(),
	}
}

// say sends n packets of a pattern to a port, 20 ms of timestamps apart.
func say(t *testing.T, port int, ssrc uint32, n int, fill byte) {
	t.Helper()
	sayBut(t, port, ssrc, n, fill, func(int) bool { return false })
}

// sayBut leaves packets out.
func sayBut(t *testing.T, port int, ssrc uint32, n int, fill byte, out func(i int) bool) {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: loopback.AsSlice(), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	payload := make([]byte, 160)
	for i := range payload {
		payload[i] = fill
	}
	for i := range n {
		if out(i) {
			continue
		}
		p := rtp.Packet{Header: rtp.Header{Version: 2, SSRC: ssrc, SequenceNumber: uint16(i), Timestamp: uint32(160 * i)}, Payload: payload}
		b, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
}

// record makes a short recording of a call and ends it.
func (b *bench) record(callID string) {
	b.t.Helper()
	in := invitation(callID)
	answer, err := b.Begin(b.t.Context(), in)
	if err != nil {
		b.t.Fatal(err)
	}
	for i, m := range answer.Media {
		if m.Direction != siprec.RecvOnly || m.Port == 0 {
			b.t.Fatalf("answer %d: %s on port %d", i, m.Direction, m.Port)
		}
		say(b.t, m.Port, uint32(i+1), 25, byte(0x10+i))
	}
	b.End(in.Dialog, siprec.EndBye, time.Now().Add(500*time.Millisecond))
}

// locked waits until n recordings are locked.
func (b *bench) locked(n int) []catalog.Recording {
	b.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		rows, err := b.archive.Catalog.List(context.Background(), catalog.Query{State: catalog.StateLocked})
		if err != nil {
			b.t.Fatal(err)
		}
		if len(rows) >= n {
			return rows
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			b.t.Fatalf("%d recordings are locked, want %d", len(rows), n)
		}
	}
}

// agree expects a verification without problems.
func (b *bench) agree() {
	b.t.Helper()
	rep, err := b.archive.Verify(context.Background(), func(int) {})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, p := range rep.Problems {
		b.t.Errorf("verify: %s", p)
	}
}

func newFake(t *testing.T) *storagetest.Fake {
	return storagetest.NewFake(t, storagetest.FakeOptions{})
}

var _ storage.Store = (*storagetest.Fake)(nil)
