package siprectest_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// TestPCAPIsReadByTshark fails when tshark is missing: the format is proved by a reader that is not ours.
func TestPCAPIsReadByTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Fatalf("install tshark (Debian package tshark): %v", err)
	}
	pcm := make([]int16, 8000+10)
	siprectest.Bursts(440, time.Second, 100*time.Millisecond).Read(pcm, 0)
	var b bytes.Buffer
	if err := siprectest.WritePCAP(&b, pcm, siprectest.PCAP{Encoding: "PCMA", Sequence: 65530, Timestamp: 1000}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "a.pcap")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tshark, "-r", file, "-d", "udp.port==6002,rtp", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-T", "fields",
		"-e", "frame.time_relative", "-e", "ip.checksum.status", "-e", "udp.checksum.status", "-e", "rtp.p_type", "-e", "rtp.seq", "-e", "rtp.timestamp", "-e", "rtp.marker", "-e", "rtp.payload")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 51 {
		t.Fatalf("%d packets, not 51:\n%s", len(lines), out)
	}
	payload := siprectest.EncodePCMA(nil, append(pcm, make([]int16, 150)...))
	for i, l := range lines {
		f := strings.Split(strings.TrimRight(l, "\r"), "\t")
		marker := map[string]string{"True": "1", "False": "0"}[f[6]]
		if marker == "" {
			marker = f[6]
		}
		want := fmt.Sprintf("%.3f 1 1 8 %d %d %d %x", float64(i)*0.02, (65530+i)&0xffff, 1000+160*i, map[bool]int{true: 1}[i == 0], payload[160*i:160*i+160])
		got := strings.Join([]string{f[0][:5], f[1], f[2], f[3], f[4], f[5], marker, strings.ReplaceAll(f[7], ":", "")}, " ")
		if got != want {
			t.Fatalf("packet %d\n got %s\nwant %s", i, got, want)
		}
	}
}

func TestPCAPRefusesWhatItCannotWrite(t *testing.T) {
	for _, o := range []siprectest.PCAP{{Encoding: "G722"}, {PTime: time.Second}} {
		if err := siprectest.WritePCAP(&bytes.Buffer{}, nil, o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}
