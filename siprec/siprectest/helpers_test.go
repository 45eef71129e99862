package siprectest_test

import (
	"iter"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/pion/rtcp"
)

func splitLines(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for l := range strings.Lines(s) {
			if !yield(strings.TrimSpace(l)) {
				return
			}
		}
	}
}

func cutInt(line, prefix string) (int, bool) {
	v, ok := strings.CutPrefix(line, prefix)
	n, err := strconv.Atoi(v)
	return n, ok && err == nil
}

func sendReceiverReport(t *testing.T, port int, ssrc uint32) {
	t.Helper()
	b, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: ssrc}, {SSRC: ssrc + 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}
