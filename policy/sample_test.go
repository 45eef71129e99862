package policy_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/greffier/greffier/policy"
)

func TestParseSample(t *testing.T) {
	tests := []struct{ in, want string }{
		{"0", "0%"}, {"1", "100%"}, {"1.0", "100%"}, {"0.1", "10%"}, {"0.000000000001", "0.0000000001%"},
		{"0%", "0%"}, {"10%", "10%"}, {"100%", "100%"}, {"0.5%", "0.5%"}, {"0.0001%", "0.0001%"}, {"33.3333333333%", "33.3333333333%"},
	}
	for _, test := range tests {
		s, err := policy.ParseSample(test.in)
		if err != nil || s.String() != test.want {
			t.Errorf("%q: got %s, %v, want %s", test.in, s, err, test.want)
		}
	}
	for _, in := range []string{"", "10", "2", "1.1", "101%", "100.1%", "-1%", "1e-3", ".5", "10 %", "%", "all", "999%", "NaN"} {
		if s, err := policy.ParseSample(in); err == nil {
			t.Errorf("%q was read as %s", in, s)
		}
	}
}

// TestDraw pins the draw: another value would decide otherwise about the same call.
func TestDraw(t *testing.T) {
	// echo -ne 'greffier sample v1\0quality\0a84b4c76e66710' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
	if got, want := policy.Draw(key, "quality", "a84b4c76e66710"), uint64(0x6458390cf3ba0146); got != want {
		t.Errorf("got %016x, want %016x", got, want)
	}
	if policy.Draw(key, "a", "bc") == policy.Draw(key, "ab", "c") {
		t.Error("class and call key are not told apart")
	}
}

func TestTakes(t *testing.T) {
	half, _ := policy.ParseSample("50%")
	tests := []struct {
		sample policy.Sample
		draw   uint64
		want   bool
	}{
		{0, 0, false}, {0, math.MaxUint64, false}, {policy.All, math.MaxUint64, true},
		{half, 1<<63 - 1, true}, {half, 1 << 63, false}, {1, 1 << 24, true}, {1, 1 << 25, false},
	}
	for _, test := range tests {
		if got := test.sample.Takes(test.draw); got != test.want {
			t.Errorf("%s takes %016x: got %v", test.sample, test.draw, got)
		}
	}
}

// TestSharesOfSamples: R01, and a larger sample holds the smaller ones.
func TestSharesOfSamples(t *testing.T) {
	const calls = 10_000
	ten, _ := policy.ParseSample("10%")
	two, _ := policy.ParseSample("2%")
	taken := map[policy.Sample]int{}
	for i := range calls {
		draw := policy.Draw(key, "quality", fmt.Sprintf("call-%d", i))
		for _, s := range []policy.Sample{two, ten} {
			if s.Takes(draw) {
				taken[s]++
			}
		}
		if two.Takes(draw) && !ten.Takes(draw) {
			t.Fatalf("call %d is in the 2 %% but not in the 10 %%", i)
		}
	}
	if got := float64(taken[ten]) / calls * 100; got < 9 || got > 11 {
		t.Errorf("a 10 %% sample took %.2f %%", got)
	}
	if got := float64(taken[two]) / calls * 100; got < 1.5 || got > 2.5 {
		t.Errorf("a 2 %% sample took %.2f %%", got)
	}
}
