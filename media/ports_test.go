package media_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/media"
)

// freeRange finds pairs of ports next to each other that nobody has, and gives
// the first, even one.
func freeRange(t *testing.T, pairs int) int {
	t.Helper()
search:
	for first := 20000; first < 32000; first += 2 * pairs {
		for port := first; port < first+2*pairs; port++ {
			c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
			if err != nil {
				continue search
			}
			c.Close()
		}
		return first
	}
	t.Fatal("no free ports on this machine")
	return 0
}

func TestPortPairs(t *testing.T) {
	const pairs = 8
	first := freeRange(t, pairs)
	for _, cfg := range []media.Config{{}, {PortMin: first, PortMax: first + 2*pairs - 1}} {
		t.Run(fmt.Sprint(cfg.PortMin), func(t *testing.T) {
			r, _ := startReceiver(t, cfg)
			rec := openRecording(t, r, new(tape), pcmu(0), pcmu(1), pcmu(2))
			for _, port := range rec.Ports() {
				if port%2 != 0 {
					t.Errorf("RTP port %d is odd", port)
				}
				if cfg.PortMin != 0 && (port < cfg.PortMin || port >= cfg.PortMax) {
					t.Errorf("RTP port %d is not in %d to %d", port, cfg.PortMin, cfg.PortMax)
				}
				for _, p := range []int{port, port + 1} {
					if _, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p}); err == nil {
						t.Errorf("port %d is not ours", p)
					}
				}
			}
			closeRecording(t, rec)
		})
	}
}

func TestPortsRunOut(t *testing.T) {
	const pairs = 3
	first := freeRange(t, pairs)
	r, _ := startReceiver(t, media.Config{PortMin: first, PortMax: first + 2*pairs - 1})
	rec := openRecording(t, r, new(tape), pcmu(0), pcmu(1))
	_, err := r.Open(media.Open{Channels: 2, Sink: new(tape), Streams: []media.Stream{pcmu(0), pcmu(1)}})
	if !errors.Is(err, media.ErrNoPorts) {
		t.Fatalf("error %v; want ErrNoPorts", err)
	}
	if !strings.Contains(err.Error(), "widen the media port range") {
		t.Errorf("error %q does not say what to do", err)
	}
	// The pair that the failed Open took is free again.
	openRecording(t, r, new(tape), pcmu(0))
	closeRecording(t, rec)
	openRecording(t, r, new(tape), pcmu(0), pcmu(1))
}

func TestPortsOfOthersAreSkipped(t *testing.T) {
	const pairs = 4
	first := freeRange(t, pairs)
	for _, port := range []int{first, first + 3} { // an RTP port and an RTCP port
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	r, _ := startReceiver(t, media.Config{PortMin: first, PortMax: first + 2*pairs - 1})
	got := openRecording(t, r, new(tape), pcmu(0), pcmu(1)).Ports()
	slices.Sort(got)
	if want := []int{first + 4, first + 6}; !slices.Equal(got, want) {
		t.Errorf("ports %v; want %v", got, want)
	}
}

func TestPortsCoolDown(t *testing.T) {
	const first, pairs = 20000, 50
	r, err := media.NewRange(first, first+2*pairs-1)
	if err != nil {
		t.Fatal(err)
	}
	last := map[int]int{}
	for i := range 10 * pairs {
		port, ok := r.Take()
		if !ok || port%2 != 0 || port < first || port >= first+2*pairs {
			t.Fatalf("port %d, %v", port, ok)
		}
		if before, used := last[port]; used && i-before < pairs {
			t.Fatalf("port %d comes back after %d others; want all %d", port, i-before-1, pairs-1)
		}
		last[port] = i
		r.GiveBack(port)
	}
}

func TestNothingLeaks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("descriptors are not counted on this system")
	}
	goroutines := runtime.NumGoroutine()
	r, stop := startReceiver(t, media.Config{})
	once := func() {
		rec := openRecording(t, r, new(tape), pcmu(0), pcmu(1))
		useLittle(t, rec)
		closeRecording(t, rec)
	}
	once()
	files := descriptors(t)
	var longest, total time.Duration
	const rounds = 500
	for range rounds {
		begin := time.Now()
		rec := openRecording(t, r, new(tape), pcmu(0), pcmu(1))
		took := time.Since(begin)
		longest, total = max(longest, took), total+took
		useLittle(t, rec)
		closeRecording(t, rec)
	}
	if n := descriptors(t); n != files {
		t.Errorf("%d descriptors after %d recordings, %d before", n, rounds, files)
	}
	t.Logf("Open of two streams: mean %v, longest %v", total/rounds, longest)
	if mean := total / rounds; mean > 5*time.Millisecond {
		t.Errorf("Open takes %v", mean)
	}
	stop()
	eventually(t, "no goroutine is left after Run", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// useLittle uses a recording a little, without a socket of the test's own.
func useLittle(t *testing.T, rec *media.Recording) {
	t.Helper()
	if len(rec.Ports()) != 2 || len(rec.Stats()) != 2 {
		t.Error("a recording of two streams has not two")
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
