package siprectest_test

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// pressKeys opens a call with one stream, presses keys 100 ms after its begin, and gives what came and what the client says.
func pressKeys(t *testing.T, s siprectest.StreamSpec, keys string, as siprectest.DigitKind) ([]arrival, siprectest.StreamTruth) {
	t.Helper()
	u := newUAS(t, "udp")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	s.Source, s.KeepPackets, s.Timestamp = siprectest.SourceFunc(func(dst []int16, _ int64) int {
		for i := range dst {
			dst[i] = 1000
		}
		return len(dst)
	}), true, ptr(uint32(math.MaxUint32-3000))
	call, err := c.Invite(ctx, siprectest.CallSpec{Streams: []siprectest.StreamSpec{s}, ManualMedia: true, Timeline: []siprectest.Event{{
		At: 100 * time.Millisecond, Do: func(ctx context.Context, call *siprectest.Call) error { return call.Press(ctx, "1", keys, as) },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	r := u.receiver(call.Stream("1").Port())
	if err := call.Play(ctx, time.Duration(len(keys)+2)*240*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	truth := call.Truth().Streams[0]
	ours := map[uint32]bool{truth.Packets[0].SSRC: true}
	came := r.ours(int(truth.Fates[siprectest.Sent]+truth.Fates[siprectest.Keyed]), ours)
	if err := call.Bye(ctx, nil); err != nil {
		t.Fatal(err)
	}
	return came, truth
}

// A press is five updates, of which the last is the end, and two more of that, in place of seven frames.
func TestKeysAsEvents(t *testing.T) {
	const keys = "0*D"
	came, truth := pressKeys(t, siprectest.StreamSpec{}, keys, siprectest.ByEvent)
	sequence(t, came, nil)
	if len(truth.Presses) != len(keys) {
		t.Fatalf("%+v", truth.Presses)
	}
	first := came[0].Timestamp
	for k, code := range []byte{0, 10, 15} {
		press := truth.Presses[k]
		if press.Key != keys[k] || press.Kind != siprectest.ByEvent || press.At%(20*time.Millisecond) != 0 {
			t.Errorf("press %d: %+v", k, press)
		}
		at := int(press.At / (20 * time.Millisecond)) // each packet is a frame
		for i, p := range came[at : at+7] {
			want := []byte{code, 10, 0, 0}
			binary.BigEndian.PutUint16(want[2:], uint16(160*min(i+1, 5)))
			if i >= 4 {
				want[1] |= 0x80
			}
			if p.PayloadType != 101 || p.Timestamp != first+uint32(at*160) || p.Marker != (i == 0) || string(p.Payload) != string(want) {
				t.Errorf("key %c, packet %d: %+v %x, want %x", keys[k], i, p.Header, p.Payload, want)
			}
		}
		if after := came[at+7]; after.PayloadType != 0 || !after.Marker || len(after.Payload) != 160 || after.Timestamp != first+uint32((at+7)*160) {
			t.Errorf("after key %c: %+v", keys[k], after.Header)
		}
		if k > 0 && press.At-truth.Presses[k-1].At != 200*time.Millisecond {
			t.Errorf("key %c was pressed %v after the one before", keys[k], press.At-truth.Presses[k-1].At)
		}
	}
	if n := truth.Fates[siprectest.Keyed]; n != 21 || int(n+truth.Fates[siprectest.Sent]) != len(came) {
		t.Errorf("%v, %d packets came", truth.Fates, len(came))
	}
}

// Frames of 60 ms take two for a press, and its end comes three times all the same.
func TestKeysInLongFrames(t *testing.T) {
	came, truth := pressKeys(t, siprectest.StreamSpec{PTime: 60 * time.Millisecond}, "12", siprectest.ByEvent)
	for k, press := range truth.Presses {
		at, ends := int(press.At/(60*time.Millisecond)), 0
		for _, p := range came[at : at+4] {
			if p.PayloadType == 101 && p.Payload[0] == byte(k+1) && p.Payload[1]&0x80 != 0 && binary.BigEndian.Uint16(p.Payload[2:]) == 960 {
				ends++
			}
		}
		if ends != 3 {
			t.Errorf("the end of key %c came %d times", press.Key, ends)
		}
	}
	if len(truth.Presses) != 2 {
		t.Errorf("%+v", truth.Presses)
	}
}

// Tones take the place of what the source says, and so does the silence between them.
func TestKeysAsTones(t *testing.T) {
	const rows, keys = "123A456B789C*0#D", "19#A*"
	low, high := [4]float64{697, 770, 852, 941}, [4]float64{1209, 1336, 1477, 1633}
	came, truth := pressKeys(t, siprectest.StreamSpec{Formats: []siprec.Format{siprectest.PCMA}}, keys, siprectest.InBand)
	sequence(t, came, nil)
	var codes []byte
	for _, p := range came {
		codes = append(codes, p.Payload...)
	}
	if len(truth.Presses) != len(keys) || truth.Fates[siprectest.Keyed] != 0 {
		t.Fatalf("%+v, %v", truth.Presses, truth.Fates)
	}
	for k, press := range truth.Presses {
		if press.Key != keys[k] || press.Kind != siprectest.InBand || k > 0 && press.At-truth.Presses[k-1].At != 200*time.Millisecond {
			t.Errorf("press %d: %+v", k, press)
		}
		n := strings.IndexByte(rows, press.Key)
		want := make([]int16, 800)
		for i := range want {
			x := 2 * math.Pi * float64(i) / 8000
			want[i] = int16(math.Round(7050 * (math.Sin(low[n/4]*x) + math.Sin(high[n%4]*x))))
		}
		at := int(press.At / time.Millisecond * 8)
		if got := codes[at : at+800]; string(got) != string(siprectest.EncodePCMA(nil, want)) {
			t.Errorf("key %c does not sound so from %v on", press.Key, press.At)
		}
		if got := codes[at+800 : at+1600]; string(got) != string(siprectest.EncodePCMA(nil, make([]int16, 800))) {
			t.Errorf("it is not silent after key %c", press.Key)
		}
	}
	said := siprectest.EncodePCMA(nil, []int16{1000})[0]
	if codes[0] != said || codes[len(codes)-1] != said {
		t.Error("the source is not heard before the keys and after them")
	}
}

// What cannot be pressed is said, and what is not pressed any more is not sent.
func TestKeysThatCannotBePressed(t *testing.T) {
	u := newUAS(t, "udp")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	call, err := c.Invite(ctx, siprectest.CallSpec{Streams: []siprectest.StreamSpec{
		{Source: siprectest.Silence(), Formats: []siprec.Format{siprectest.PCMU}},
		{Source: siprectest.Silence()},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		label siprec.Label
		keys  string
		as    siprectest.DigitKind
		want  string
	}{
		{"3", "1", siprectest.InBand, "no stream with the label"},
		{"1", "12E", siprectest.InBand, "has no key 'E'"},
		{"1", "1", siprectest.ByEvent, "no telephone-event"},
	} {
		if err := call.Press(ctx, test.label, test.keys, test.as); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("press %q on %q: %v", test.keys, test.label, err)
		}
	}
	if err := call.Press(ctx, "2", "", siprectest.ByEvent); err != nil {
		t.Errorf("no keys: %v", err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if err := call.Press(stopped, "2", "1234567890", siprectest.ByEvent); err == nil || len(call.Truth().Streams[1].Presses) > 1 {
		t.Errorf("%v, %+v", err, call.Truth().Streams[1].Presses)
	}
	done := make(chan error)
	go func() { done <- call.Press(ctx, "2", "1234567890", siprectest.ByEvent) }()
	if err := call.Play(ctx, 500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "ended before the last key") {
		t.Errorf("keys that take longer than the stream: %v", err)
	}
	if p := call.Truth().Streams[1].Presses; len(p) == 0 || !slices.IsSortedFunc(p, func(a, b siprectest.PressTruth) int { return int(a.At - b.At) }) {
		t.Errorf("%+v", p)
	}
}
