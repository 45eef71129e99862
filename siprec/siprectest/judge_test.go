package siprectest_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

const rate = 8000

// recorded makes the sound of a burst source as a perfect recorder would have it, with the source's epoch at offset.
func recorded(frequency float64, offset, length time.Duration) []int16 {
	out := make([]int16, length.Milliseconds()*rate/1000)
	lead := int(offset.Milliseconds() * rate / 1000)
	siprectest.Bursts(frequency, time.Second, 100*time.Millisecond).Read(out[lead:], 0)
	return out
}

// companded sends samples through mu-law at a low level of noise.
func companded(in []int16, noise int) []int16 {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]int16, len(in))
	for i, v := range in {
		out[i] = int16(max(-32768, min(32767, int(v)+r.IntN(2*noise+1)-noise)))
	}
	for i, c := range siprectest.EncodePCMU(nil, out) {
		out[i] = int16(decodeMuLaw(c))
	}
	return out
}

// truthOf is what a call of that length that sent everything would say.
func truthOf(length time.Duration) siprectest.Truth {
	t := siprectest.Truth{Length: length}
	for i, f := range []float64{440, 880} {
		s := siprectest.StreamTruth{Label: []siprec.Label{"1", "2"}[i], Frequency: f, Last: length,
			Fates: map[siprectest.Fate]int64{siprectest.Sent: int64(length / (20 * time.Millisecond))}}
		for at := 500 * time.Millisecond; at < length; at += time.Second {
			s.Onsets = append(s.Onsets, siprectest.OnsetTruth{At: at, Clean: true})
		}
		t.Streams = append(t.Streams, s)
	}
	return t
}

func TestDetect(t *testing.T) {
	for _, noise := range []int{0, 300, 1000} {
		for _, f := range []float64{440, 880} {
			in := companded(recorded(f, 33*time.Millisecond, 5*time.Second), noise)
			all := siprectest.Detect(in, rate, 440, 880)
			if len(all) != 5 {
				t.Errorf("noise %d, %g Hz: %d bursts found: %+v", noise, f, len(all), all)
				continue
			}
			for i, o := range all {
				want := 533*time.Millisecond + time.Duration(i)*time.Second
				if o.Frequency != f || (o.At-want).Abs() > 1500*time.Microsecond || (o.Length-100*time.Millisecond).Abs() > 3*time.Millisecond || o.Amplitude < 9000 || o.Amplitude > 11000 {
					t.Errorf("noise %d, burst %d at %v: %+v", noise, i, want, o)
				}
			}
		}
	}
}

func TestDetectFindsNothingInOtherSounds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	hiss := make([]int16, 3*rate)
	for i := range hiss {
		hiss[i] = int16(r.IntN(20000) - 10000)
	}
	for name, in := range map[string][]int16{"silence": make([]int16, rate), "hiss": hiss, "another tone": recorded(1200, 0, 3*time.Second), "nothing": nil} {
		if all := siprectest.Detect(in, rate, 440, 880); len(all) > 0 {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

func TestDetectBridgesALostPacket(t *testing.T) {
	in := recorded(440, 0, time.Second)
	clear(in[4320:4480]) // 20 ms, 40 ms into the burst
	if all := siprectest.Detect(in, rate, 440, 880); len(all) != 1 || (all[0].At-500*time.Millisecond).Abs() > 2*time.Millisecond {
		t.Errorf("%+v", all)
	}
}

// mixed puts both parties into one channel.
func mixed(a, b []int16) []int16 {
	out := slices.Clone(a)
	for i := range out {
		out[i] += b[i]
	}
	return out
}

func TestCompare(t *testing.T) {
	const ms = time.Millisecond
	const length = 10 * time.Second
	labels := []siprec.Label{"1", "2"}
	left, right := companded(recorded(440, 0, length), 200), companded(recorded(880, 0, length), 200)
	shift := func(s []int16, d time.Duration) []int16 {
		n := int(d.Milliseconds() * rate / 1000)
		if n >= 0 {
			return append(make([]int16, n), s...)[:len(s)]
		}
		return append(slices.Clone(s[-n:]), make([]int16, -n)...)
	}
	for _, tc := range []struct {
		name     string
		channels [][]int16
		truth    func(*siprectest.Truth)
		problem  string // "": none
	}{
		{"as sent", [][]int16{left, right}, nil, ""},
		{"both 300 ms late", [][]int16{shift(left, 300*ms), shift(right, 300*ms)}, nil, ""},
		{"one 15 ms late", [][]int16{left, shift(right, 15*ms)}, nil, ""},
		{"one 25 ms late", [][]int16{left, shift(right, 25*ms)}, nil, "channels are 2"},
		{"one 400 ms early", [][]int16{left, shift(right, -400*ms)}, nil, "channels are 4"},
		{"one a whole second late", [][]int16{left, shift(right, time.Second)}, nil, "lacks 1 of 10"},
		{"swapped", [][]int16{right, left}, nil, "bursts of another stream"},
		{"mixed", [][]int16{mixed(left, shift(right, 200*ms)), right}, nil, "channel 0 (label \"1\") has 10 bursts of another stream"},
		{"mixed at the same instants", [][]int16{mixed(left, right), right}, nil, "channel 0"},
		{"too long", [][]int16{append(slices.Clone(left), make([]int16, 400)...), right}, nil, "off by 50ms"},
		{"one silent", [][]int16{left, make([]int16, len(right))}, nil, "lacks 10 of 10"},
		{"drifting", [][]int16{left, slices.Concat(right[:4*rate], make([]int16, 320), right[4*rate:len(right)-320])}, nil, "channels are"},
		{"a lost onset is not looked for", [][]int16{left, silenced(right, 2500*ms, 20*ms)},
			func(t *siprectest.Truth) { t.Streams[1].Onsets[2].Clean = false }, ""},
		{"made up", [][]int16{left, right}, func(t *siprectest.Truth) { t.Streams[0].Onsets = t.Streams[0].Onsets[:8] }, "not sent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			truth := truthOf(length)
			if tc.truth != nil {
				tc.truth(&truth)
			}
			r := siprectest.Compare(tc.channels, rate, labels, truth)
			err := r.Check(siprectest.DefaultLimits)
			switch {
			case tc.problem == "" && err != nil:
				t.Errorf("%v\n%+v", err, r)
			case tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)):
				t.Errorf("want a problem with %q, got %v\n%+v", tc.problem, err, r)
			}
		})
	}
	r := siprectest.Compare([][]int16{shift(left, 300*ms), shift(right, 310*ms)}, rate, labels, truthOf(length))
	if (r.Channels[0].Offset-300*ms).Abs() > ms || (r.Misalignment-10*ms).Abs() > 1500*time.Microsecond {
		t.Errorf("offset %v, misalignment %v", r.Channels[0].Offset, r.Misalignment)
	}
}

func silenced(in []int16, from, length time.Duration) []int16 {
	out := slices.Clone(in)
	a := from.Milliseconds() * rate / 1000
	clear(out[a : a+length.Milliseconds()*rate/1000])
	return out
}

// TestJudgeWhatWasReallySent makes a recording from the packets of a real call, as simply as can be, and judges it: the
// client's truth and its packets must agree.
func TestJudgeWhatWasReallySent(t *testing.T) {
	u := newUAS(t, "udp")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	spec := siprectest.TwoParty(siprectest.Bursts(440, 500*time.Millisecond, 100*time.Millisecond), siprectest.Bursts(880, 500*time.Millisecond, 100*time.Millisecond))
	spec.Streams[0].Script = siprectest.Script{Loss: 0.05, Seed: 9, DTX: true}
	spec.Streams[1].Script = siprectest.Script{Start: 700 * time.Millisecond, Gaps: []siprectest.Gap{{At: 1500 * time.Millisecond, For: 600 * time.Millisecond}}, Reorder: 0.1}
	for i := range spec.Streams {
		spec.Streams[i].Timestamp, spec.Streams[i].SSRC = ptr(uint32(0)), ptr(uint32(0xfeed0000+i))
	}
	call, err := c.Invite(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(ctx, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	truth := call.Truth()
	channels := make([][]int16, 2)
	for i, s := range truth.Streams {
		channels[i] = make([]int16, 3*rate)
		first := s.First.Milliseconds() * rate / 1000 // the first packet's timestamp is 0
		for _, p := range u.receiver(call.Stream(s.Label).Port()).ours(int(s.Fates[siprectest.Sent]), map[uint32]bool{uint32(0xfeed0000 + i): true}) {
			for k, b := range p.Payload {
				channels[i][int(first)+int(p.Timestamp)+k] = int16(decodeMuLaw(b))
			}
		}
	}
	r := siprectest.Compare(channels, rate, []siprec.Label{"1", "2"}, truth)
	if err := r.Check(siprectest.Limits{Misalignment: 3 * time.Millisecond, Deviation: 3 * time.Millisecond, Length: 500 * time.Millisecond}); err != nil {
		t.Errorf("%v\n%+v", err, r)
	}
	if r.Channels[0].Expected < 3 || r.Channels[1].Expected != 4 {
		t.Errorf("expected bursts: %+v", r.Channels)
	}
	t.Logf("offset %v, misalignment %v, %d and %d bursts judged", r.Offset, r.Misalignment, r.Channels[0].Found, r.Channels[1].Found)
}
