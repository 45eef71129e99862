package siprectest_test

import (
	"math"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

func ptr[T any](v T) *T { return &v }

// play opens a call with one stream, plays it for d, hangs up, and gives what came and what the client says.
func play(t *testing.T, s siprectest.StreamSpec, d time.Duration) ([]arrival, siprectest.StreamTruth) {
	t.Helper()
	u := newUAS(t, "udp")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	if s.Source == nil {
		s.Source = siprectest.Bursts(440, 200*time.Millisecond, 100*time.Millisecond)
	}
	s.KeepPackets = true
	call, err := c.Invite(ctx, siprectest.CallSpec{Streams: []siprectest.StreamSpec{s}})
	if err != nil {
		t.Fatal(err)
	}
	r := u.receiver(call.Stream("1").Port())
	if err := call.Play(ctx, d); err != nil {
		t.Fatal(err)
	}
	if err := call.Bye(ctx, nil); err != nil {
		t.Fatal(err)
	}
	truth := call.Truth().Streams[0]
	want := int(truth.Fates[siprectest.Sent] + truth.Duplicates)
	ours := map[uint32]bool{}
	for _, p := range truth.Packets {
		ours[p.SSRC] = true
	}
	came := r.ours(want, ours)
	if len(came) != want {
		t.Errorf("%d packets came, %d were sent", len(came), want)
	}
	return came, truth
}

func TestRTPHeadersRunOnAndWrap(t *testing.T) {
	s := siprectest.StreamSpec{SSRC: ptr(uint32(0xdeadbeef)), Sequence: ptr(uint16(65534)), Timestamp: ptr(uint32(math.MaxUint32 - 400))}
	came, truth := play(t, s, 200*time.Millisecond)
	if len(came) != 10 || truth.Frames != 10 {
		t.Fatalf("%d packets of %d frames", len(came), truth.Frames)
	}
	seq, ts := uint16(65534), uint32(math.MaxUint32-400)
	for i, p := range came {
		if p.SSRC != 0xdeadbeef || p.SequenceNumber != seq || p.Timestamp != ts || p.PayloadType != 0 || p.Marker != (i == 0) || len(p.Payload) != 160 {
			t.Errorf("packet %d: %+v", i, p.Header)
		}
		seq++
		ts += 160
	}
}

func TestFormatAndPTimeFollowTheAnswer(t *testing.T) {
	s := siprectest.StreamSpec{PTime: 60 * time.Millisecond, Formats: []siprec.Format{siprectest.TelephoneEvent, siprectest.PCMA, siprectest.PCMU}}
	came, _ := play(t, s, 300*time.Millisecond)
	if len(came) != 5 || came[0].PayloadType != 8 || len(came[0].Payload) != 480 || came[0].Payload[0] != 0xd5 {
		t.Errorf("%d packets, first %+v", len(came), came[0].Header)
	}
	if _, err := dial(t, newUAS(t, "udp"), siprectest.Config{}).Invite(limited(t), siprectest.CallSpec{Streams: []siprectest.StreamSpec{{PTime: 5 * time.Millisecond}}}); err == nil {
		t.Error("ptime of 5 ms is accepted")
	}
}

// sequence checks the sequence numbers: steps[i] is the i-th number less the one before; others are 1.
func sequence(t *testing.T, came []arrival, steps map[int]int) {
	t.Helper()
	for i := 1; i < len(came); i++ {
		want := 1
		if s, ok := steps[i]; ok {
			want = s
		}
		if got := int(int16(came[i].SequenceNumber - came[i-1].SequenceNumber)); got != want {
			t.Errorf("packet %d: sequence step %d, want %d", i, got, want)
		}
	}
}

func TestScripts(t *testing.T) {
	const ms = time.Millisecond
	t.Run("late start", func(t *testing.T) {
		came, truth := play(t, siprectest.StreamSpec{Script: siprectest.Script{Start: 200 * ms}, Timestamp: ptr(uint32(7))}, 400*ms)
		if len(came) != 10 || came[0].Timestamp != 7 || truth.First != 200*ms || truth.Last != 400*ms || truth.Fates[siprectest.NotStarted] != 10 {
			t.Errorf("%d packets, first timestamp %d, %+v", len(came), came[0].Timestamp, truth)
		}
	})
	t.Run("gap", func(t *testing.T) {
		came, _ := play(t, siprectest.StreamSpec{Script: siprectest.Script{Gaps: []siprectest.Gap{{At: 100 * ms, For: 200 * ms}}}}, 400*ms)
		sequence(t, came, nil)
		if step := came[5].Timestamp - came[4].Timestamp; len(came) != 10 || step != 11*160 || !came[5].Marker {
			t.Errorf("%d packets, timestamp step %d", len(came), step)
		}
	})
	t.Run("gap on the network", func(t *testing.T) {
		came, truth := play(t, siprectest.StreamSpec{Script: siprectest.Script{Gaps: []siprectest.Gap{{At: 100 * ms, For: 200 * ms, Lost: true}}}}, 400*ms)
		sequence(t, came, map[int]int{5: 11})
		if truth.Fates[siprectest.Lost] != 10 {
			t.Error(truth.Fates)
		}
	})
	t.Run("gap while the clock stands", func(t *testing.T) {
		came, _ := play(t, siprectest.StreamSpec{Script: siprectest.Script{Gaps: []siprectest.Gap{{At: 100 * ms, For: 200 * ms, ClockStops: true}}}}, 400*ms)
		if step := came[5].Timestamp - came[4].Timestamp; step != 160 {
			t.Errorf("timestamp step %d", step)
		}
	})
	t.Run("discontinuous transmission", func(t *testing.T) {
		came, truth := play(t, siprectest.StreamSpec{Script: siprectest.Script{DTX: true}}, 600*ms)
		sequence(t, came, nil)
		if len(came) != 15 || truth.Fates[siprectest.Suppressed] != 15 || came[5].Timestamp-came[4].Timestamp != 6*160 || !came[5].Marker {
			t.Errorf("%d packets, %v", len(came), truth.Fates)
		}
		if len(truth.Onsets) != 3 || truth.Onsets[1].At != 300*ms || !truth.Onsets[1].Clean {
			t.Errorf("onsets: %+v", truth.Onsets)
		}
	})
	t.Run("loss", func(t *testing.T) {
		came, truth := play(t, siprectest.StreamSpec{PTime: 10 * ms, Script: siprectest.Script{Loss: 0.3, LossBurst: 3, Seed: 5}}, time.Second)
		if lost := truth.Fates[siprectest.Lost]; lost < 10 || lost > 55 || int(lost)+len(came) != 100 {
			t.Errorf("%d of 100 lost", lost)
		}
		_, again := play(t, siprectest.StreamSpec{PTime: 10 * ms, Script: siprectest.Script{Loss: 0.3, LossBurst: 3, Seed: 5}}, time.Second)
		for i := range again.Packets {
			if again.Packets[i].Fate != truth.Packets[i].Fate {
				t.Fatalf("frame %d was %v, then %v, with the same seed", i, truth.Packets[i].Fate, again.Packets[i].Fate)
			}
		}
	})
	t.Run("duplicates", func(t *testing.T) {
		came, truth := play(t, siprectest.StreamSpec{Script: siprectest.Script{Duplicate: 1}}, 200*ms)
		if len(came) != 20 || truth.Duplicates != 10 {
			t.Errorf("%d packets, %d duplicates", len(came), truth.Duplicates)
		}
	})
	t.Run("reordering", func(t *testing.T) {
		came, truth := play(t, siprectest.StreamSpec{Script: siprectest.Script{Reorder: 0.3, ReorderBy: 2, Seed: 3}}, 600*ms)
		back := 0
		for i := 1; i < len(came); i++ {
			if int16(came[i].SequenceNumber-came[i-1].SequenceNumber) < 0 {
				back++
			}
		}
		if len(came) != 30 || back == 0 || truth.Delayed == 0 {
			t.Errorf("%d packets, %d overtaken, %d delayed", len(came), back, truth.Delayed)
		}
	})
	t.Run("jitter", func(t *testing.T) {
		came, truth := play(t, siprectest.StreamSpec{Script: siprectest.Script{Jitter: 15 * ms}}, 400*ms)
		if len(came) != 20 || truth.Delayed < 15 {
			t.Errorf("%d packets, %d delayed", len(came), truth.Delayed)
		}
	})
	t.Run("new source, jump, new port", func(t *testing.T) {
		came, _ := play(t, siprectest.StreamSpec{Timestamp: ptr(uint32(0)), Script: siprectest.Script{NewSSRC: []time.Duration{300 * ms},
			Jumps: []siprectest.Jump{{At: 100 * ms, By: 8000}}, Rebind: []time.Duration{200 * ms}}}, 400*ms)
		if came[5].Timestamp-came[4].Timestamp != 8160 || came[9].from.Port == came[10].from.Port || came[14].SSRC == came[15].SSRC || len(came) != 20 {
			t.Errorf("timestamps %d %d, ports %d %d, SSRCs %d %d, %d packets", came[4].Timestamp, came[5].Timestamp, came[9].from.Port, came[10].from.Port, came[14].SSRC, came[15].SSRC, len(came))
		}
	})
	t.Run("wrong address", func(t *testing.T) {
		came, _ := play(t, siprectest.StreamSpec{Script: siprectest.Script{SendFrom: netip.MustParseAddr("127.0.0.2")}}, 100*ms)
		if got := came[0].from.IP.String(); got != "127.0.0.2" {
			t.Errorf("packets come from %s", got)
		}
	})
	t.Run("fast clock", func(t *testing.T) {
		// 20,000 ppm fast: 51 frames fit where 50 would.
		came, truth := play(t, siprectest.StreamSpec{Script: siprectest.Script{SkewPPM: 20000}}, time.Second)
		if len(came) != 51 {
			t.Errorf("%d packets", len(came))
		}
		if gap := truth.Packets[50].Planned.Sub(truth.Packets[0].Planned); (gap - 980392157).Abs() > time.Microsecond {
			t.Errorf("50 frames take %v", gap)
		}
	})
}

func TestSourceThatEndsEndsTheStream(t *testing.T) {
	u := newUAS(t, "udp")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	call, err := c.Invite(ctx, siprectest.TwoParty(make(siprectest.PCM, 1700), make(siprectest.PCM, 1600)))
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(ctx, 0); err != nil {
		t.Fatal(err)
	}
	truth := call.Truth()
	for i, want := range []int64{11, 10} { // 1700 samples are ten frames and a bit, filled up with silence
		if n := truth.Streams[i].Fates[siprectest.Sent]; n != want {
			t.Errorf("stream %d sent %d frames, not %d", i, n, want)
		}
	}
}

func TestReportsOfBothSides(t *testing.T) {
	u := newUAS(t, "udp")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	call, err := c.Invite(ctx, siprectest.CallSpec{RTCPInterval: 100 * time.Millisecond,
		Streams: []siprectest.StreamSpec{{Source: siprectest.Silence(), RTCP: true}}})
	if err != nil {
		t.Fatal(err)
	}
	invite := u.wait("INVITE")
	rtcpPort := 0
	for line := range splitLines(invite.body) {
		if n, ok := cutInt(line, "a=rtcp:"); ok {
			rtcpPort = n
		}
	}
	if p := call.Stream("1").Port(); rtcpPort != p+1 || p%2 != 0 {
		t.Fatalf("ports %d and %d", p, rtcpPort)
	}
	came := u.receiver(call.Stream("1").Port()).atLeast(1)
	sendReceiverReport(t, rtcpPort, came[0].SSRC)
	if err := call.Play(ctx, 500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	truth := call.Truth().Streams[0]
	if truth.SenderReports != 4 || truth.ReceiverReports != 1 {
		t.Errorf("%d sender reports, %d receiver reports", truth.SenderReports, truth.ReceiverReports)
	}
}

// TestPacing sends 100 streams from one goroutine: the number of packets is exact, and they go out when they should.
func TestPacing(t *testing.T) {
	const streams, length = 100, 3 * time.Second
	u := newUAS(t, "udp")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	spec := siprectest.CallSpec{ManualMedia: true}
	for range streams {
		spec.Streams = append(spec.Streams, siprectest.StreamSpec{Source: siprectest.Bursts(440, time.Second, 100*time.Millisecond), KeepPackets: true})
	}
	call, err := c.Invite(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	call.StartMedia()
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d more goroutines for %d streams", n-before, streams)
	}
	if err := call.Play(ctx, length); err != nil {
		t.Fatal(err)
	}
	var sum, worst time.Duration
	var n int64
	rounds := make([]time.Duration, length/(20*time.Millisecond)) // the error of all streams' packets of one instant
	truth := call.Truth()
	for _, s := range truth.Streams {
		if s.Frames != 150 || s.Fates[siprectest.Sent] != 150 {
			t.Errorf("stream %q: %d frames, %v", s.Label, s.Frames, s.Fates)
		}
		for i, p := range s.Packets {
			if want := truth.Start.Add(time.Duration(i) * 20 * time.Millisecond); !p.Planned.Equal(want) {
				t.Fatalf("stream %q packet %d was planned for %v, not %v", s.Label, i, p.Planned, want)
			}
			e := p.Sent.Sub(p.Planned)
			sum, worst, n = sum+e.Abs(), max(worst, e.Abs()), n+1
			rounds[i] += e.Abs() / streams
		}
	}
	mean := sum / time.Duration(n)
	t.Logf("%d packets of %d streams: mean absolute send error %v, worst %v", n, streams, mean, worst)
	// Other programs may stop this one for a while, but lateness must not add up: some instants are met.
	if best := slices.Min(rounds); best > 20*time.Millisecond {
		t.Errorf("packets are never less than %v late", best)
	}
	for _, s := range truth.Streams {
		u.receiver(call.Stream(s.Label).Port()).atLeast(150)
	}
}
