package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// strays are packets of strangers that a call may meet: on a host on which everything is 127.0.0.1, reports of other tests' servers
// go to ports that nobody has, and that may be ours now.
const strays = 5

// A secureCase is a call of two streams with the same security, and what becomes of it.
type secureCase struct {
	security siprectest.Security
	change   func(*siprectest.CallSpec)
	nothing  bool // no packet may be placed
	check    func(t *testing.T, truth siprectest.StreamTruth, stats media.StreamStats)
}

// Every way to protect a call leads to a recording that is judged like one in clear, and nothing that is not authentic leads to any.
func TestSecureCalls(t *testing.T) {
	const s80 = "AES_CM_128_HMAC_SHA1_80"
	some := func(name string, n uint64) func(*testing.T) {
		return func(t *testing.T) {
			t.Helper()
			if n == 0 {
				t.Errorf("no packet is counted as %s", name)
			}
		}
	}
	forged := func(t *testing.T, truth siprectest.StreamTruth, stats media.StreamStats) {
		t.Helper()
		if sent := uint64(truth.Fates[siprectest.Sent]); stats.AuthFailed < sent || sent == 0 {
			t.Errorf("%d of %d packets are counted as not authentic", stats.AuthFailed, sent)
		}
	}
	reports := func(t *testing.T, truth siprectest.StreamTruth, _ media.StreamStats) {
		t.Helper()
		some("receiver report", uint64(truth.ReceiverReports))(t)
	}
	everywhere := func(c *siprectest.CallSpec) {
		c.RTCPInterval = time.Second
		for i := range c.Streams {
			c.Streams[i].RTCP = true
		}
	}
	elsewhere := func(c *siprectest.CallSpec) {
		for i := range c.Streams {
			c.Streams[i].Script.SendFrom = netip.MustParseAddr("127.0.0.9")
		}
	}
	again := func(keys bool) func(*siprectest.CallSpec) {
		return func(c *siprectest.CallSpec) {
			c.Timeline = []siprectest.Event{{At: 2 * time.Second, Do: func(ctx context.Context, call *siprectest.Call) error {
				_, err := call.ReInvite(ctx, siprectest.Change{NewKeys: keys})
				return err
			}}}
		}
	}
	cases := map[string]secureCase{
		"mki":           {security: siprectest.Security{Suite: s80, MKI: 4}, change: everywhere, check: reports},
		"savpf":         {security: siprectest.Security{Suite: s80, Profile: "RTP/SAVPF", Mux: true}, change: everywhere, check: reports},
		"avpf":          {security: siprectest.Security{Profile: "RTP/AVPF", Mux: true}, change: everywhere, check: reports},
		"dtls":          {security: siprectest.Security{DTLS: true}, change: everywhere, check: reports},
		"dtls-active":   {security: siprectest.Security{DTLS: true, Setup: siprec.SetupActive}},
		"dtls-passive":  {security: siprectest.Security{DTLS: true, Setup: siprec.SetupPassive}},
		"dtls-in-savpf": {security: siprectest.Security{DTLS: true, Profile: "RTP/SAVPF"}},
		"ice":           {security: siprectest.Security{ICE: true}},
		"ice-elsewhere": {security: siprectest.Security{ICE: true, Suite: s80, Mux: true}, change: elsewhere},
		"ice-dtls":      {security: siprectest.Security{ICE: true, DTLS: true, Profile: "UDP/TLS/RTP/SAVPF"}, change: elsewhere},
		"refresh":       {security: siprectest.Security{Suite: s80}, change: again(false)},
		"new-keys":      {security: siprectest.Security{Suite: "AEAD_AES_128_GCM"}, change: again(true)},
		"dtls-refresh":  {security: siprectest.Security{DTLS: true}, change: again(false)},
		"new-ssrc": {security: siprectest.Security{Suite: s80}, change: func(c *siprectest.CallSpec) {
			c.Streams[0].Script.NewSSRC = []time.Duration{2 * time.Second}
		}},
		"replay": {
			security: siprectest.Security{Suite: s80},
			change: func(c *siprectest.CallSpec) {
				c.Streams[0].Script.Duplicate, c.Streams[1].Script.Duplicate = 1, 1
			},
			check: func(t *testing.T, truth siprectest.StreamTruth, stats media.StreamStats) {
				if stats.Replayed != uint64(truth.Duplicates) || stats.Duplicate != 0 || truth.Duplicates == 0 {
					t.Errorf("%d packets were sent twice: %d are replayed, %d duplicate", truth.Duplicates, stats.Replayed, stats.Duplicate)
				}
			},
		},
		"wrong-key":     {security: siprectest.Security{Suite: s80, WrongKey: true}, nothing: true, check: forged},
		"wrong-key-gcm": {security: siprectest.Security{Suite: "AEAD_AES_256_GCM", WrongKey: true}, nothing: true, check: forged},
		"in-clear":      {security: siprectest.Security{Suite: s80, InClear: true}, nothing: true, check: forged},
		"dtls-in-clear": {security: siprectest.Security{DTLS: true, InClear: true}, nothing: true, check: forged},
		"dtls-wrong": {
			security: siprectest.Security{DTLS: true, WrongFingerprint: true}, nothing: true,
			check: func(t *testing.T, truth siprectest.StreamTruth, stats media.StreamStats) {
				forged(t, truth, stats)
				if truth.Security == nil {
					t.Error("the handshake was finished")
				}
			},
		},
	}
	for _, suite := range siprec.Suites() {
		cases[string(suite)] = secureCase{security: siprectest.Security{Suite: string(suite)}, change: everywhere, check: reports}
	}
	dir := t.TempDir()
	src := start(t, dir, recordAll).src("udp")
	calls := map[string]*secureCall{}
	var talking sync.WaitGroup
	for name, c := range cases { // all at once: they take as long as one
		call := &secureCall{id: "secure-" + name}
		calls[name] = call
		talking.Go(func() { call.truth, call.err = talk(t.Context(), src, c, call.id) })
	}
	talking.Wait()
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) { cases[name].judge(t, dir, calls[name]) })
	}
}

type secureCall struct {
	id    string
	truth siprectest.Truth
	err   error
}

func talk(ctx context.Context, src *siprectest.Client, c secureCase, id string) (siprectest.Truth, error) {
	spec := bursts()
	spec.Metadata.SIPSessionIDs = []string{id}
	for i := range spec.Streams {
		spec.Streams[i].Security = c.security
		spec.Streams[i].RTCP = true // so that no report of the server's goes to a port that is another's, on this one host
	}
	if c.change != nil {
		c.change(&spec)
	}
	call, err := src.Invite(ctx, spec)
	if err != nil {
		return siprectest.Truth{}, err
	}
	err = call.Play(ctx, 6*time.Second)
	return call.Truth(), errors.Join(err, call.Bye(ctx, nil))
}

func (c secureCase) judge(t *testing.T, dir string, call *secureCall) {
	if call.err != nil {
		t.Fatal(call.err)
	}
	truth := call.truth
	r := finished(t, dir, call.id)
	for i, channel := range sidecarOf(t, dir, r.ID).Channels {
		sent, stats := truth.Streams[i], *channel.Stats
		if c.nothing {
			if stats.Placed != 0 || stats.Packets != 0 {
				t.Errorf("%s: %+v", channel.Label, stats)
			}
		} else if sent.Security != nil || stats.AuthFailed > strays || stats.Placed != uint64(sent.Fates[siprectest.Sent]) {
			t.Errorf("%s: %d packets sent, %v: %+v", channel.Label, sent.Fates[siprectest.Sent], sent.Security, stats)
		}
		if c.check != nil {
			c.check(t, sent, stats)
		}
	}
	if c.nothing {
		channels, _ := play(t, dir, r.ID)
		for i, pcm := range channels {
			if slices.ContainsFunc(pcm, func(x int16) bool { return x > 8 || x < -8 }) {
				t.Errorf("channel %d is not silent", i)
			}
		}
		return
	}
	report := judge(t, dir, r, truth, siprectest.DefaultLimits)
	t.Logf("misalignment %s, length error %s", report.Misalignment, report.LengthError)
}

// finished waits for the recording of a call.
func finished(t *testing.T, dir, callID string) listedRecording {
	t.Helper()
	var rows []listedRecording
	eventually(t, "recording locked", 30*time.Second, func() bool {
		rows = list(t, dir, "--call-id", callID, "--state", "locked")
		return len(rows) == 1
	})
	return rows[0]
}

func sidecarOf(t *testing.T, dir, id string) recorder.Sidecar {
	t.Helper()
	out, code := cliRun(t, "recordings", "show", id, "--data-dir", dir)
	var shown struct {
		Sidecar recorder.Sidecar `json:"sidecar"`
	}
	if err := json.Unmarshal([]byte(out), &shown); code != exitOK || err != nil {
		t.Fatalf("show: exit %d: %v", code, err)
	}
	return shown.Sidecar
}

// What is secure and has no usable keys is refused, and never answered in clear.
func TestUnusableSecurityIsRefused(t *testing.T) {
	s := start(t, t.TempDir(), recordAll)
	src := s.src("udp")
	bad := []siprectest.Security{
		{Suite: "F8_128_HMAC_SHA1_80"}, {Profile: "RTP/SAVP"}, {Profile: "TCP/RTP/AVP"}, {Profile: "TCP/TLS/RTP/SAVP"}, {Profile: "RTP/NEW"},
		{DTLS: true, Setup: "holdconn"}, {Suite: "AES_CM_128_HMAC_SHA1_80", Profile: "UDP/TLS/RTP/SAVP"},
	}
	for _, b := range bad {
		spec := bursts()
		spec.Streams[0].Security, spec.Streams[1].Security = b, b
		if _, err := src.Invite(t.Context(), spec); siprectest.Status(err) != 488 {
			t.Errorf("%+v: %v, want 488", b, err)
		}
		spec.Streams[1].Security = siprectest.Security{}
		call, err := src.Invite(t.Context(), spec)
		if err != nil {
			t.Errorf("%+v beside RTP: %v", b, err)
			continue
		}
		if m := call.Answer().Media; m[0].Addr.Port() != 0 || m[0].Crypto != "" || m[1].Addr.Port() == 0 {
			t.Errorf("%+v beside RTP is answered %s", b, call.Answer().Raw)
		}
		if err := call.Bye(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
}

// A call that is not recorded is answered with keys all the same, so that the SRC does not drop it; and a session refresh with the
// same answer.
func TestSecureAnswers(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	text := strings.Replace(readFile(t, recordAll), "sample: 100%", "sample: 0.0000001%", 1)
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, policy := range map[string]string{"recorded": recordAll, "not recorded": policy} {
		t.Run(name, func(t *testing.T) {
			s := start(t, t.TempDir(), policy)
			spec := bursts()
			spec.Streams[0].Security = siprectest.Security{Suite: "AES_CM_128_HMAC_SHA1_80"}
			spec.Streams[1].Security = siprectest.Security{Suite: "AEAD_AES_256_GCM"}
			call, err := s.src("udp").Invite(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			first := call.Answer()
			same, err := call.ReInvite(t.Context(), siprectest.Change{})
			if err != nil {
				t.Fatal(err)
			}
			if string(same.Raw) != string(first.Raw) {
				t.Errorf("the same offer is answered\n%s\nand then\n%s", first.Raw, same.Raw)
			}
			other, err := call.ReInvite(t.Context(), siprectest.Change{NewKeys: true})
			if err != nil {
				t.Fatal(err)
			}
			for i, m := range other.Media {
				if m.Crypto == "" || m.Crypto == first.Media[i].Crypto || m.Protocol != "RTP/SAVP" {
					t.Errorf("new keys are answered with %q, as the old ones were", m.Crypto)
				}
			}
			if err := call.Bye(t.Context(), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// A lockedLog keeps what a server logs.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// The keys of a call are nowhere: not in the log at its most talkative, not in any file while the call lasts or after it, and not
// in the sidecar when it is opened.
func TestKeysAreKeptNowhere(t *testing.T) {
	dir, log := t.TempDir(), &lockedLog{}
	s := startLogging(t, log, dir, recordAll, "--log-level=debug")
	spec := bursts()
	spec.Metadata.SIPSessionIDs = []string{"secrets"}
	for i := range spec.Streams {
		spec.Streams[i].Security = siprectest.Security{Suite: "AES_CM_128_HMAC_SHA1_80", ICE: true, Mux: true}
	}
	call, err := s.src("udp").Invite(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	var needles []string
	for i, m := range call.Answer().Media {
		_, ours, _ := strings.Cut(m.Crypto, "inline:")
		needles = append(needles, ours, m.Pwd, call.Stream(spec.Streams[i].Label).Secret())
	}
	search(t, dir, needles)
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r := finished(t, dir, "secrets")
	search(t, dir, needles)
	sidecar, _ := cliRun(t, "recordings", "show", r.ID, "--data-dir", dir)
	s.stop()
	for _, n := range needles {
		if len(n) < 16 {
			t.Errorf("key %q is none", n)
		}
		if strings.Contains(log.b.String(), n) || strings.Contains(sidecar, n) {
			t.Errorf("a key is in the log or the sidecar")
		}
	}
	if !strings.Contains(log.b.String(), "decided") || !strings.Contains(sidecar, `"channels"`) {
		t.Error("log or sidecar were not searched")
	}
}

// search looks for the texts in every file.
func search(t *testing.T, dir string, needles []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, n := range needles {
			if strings.Contains(string(b), n) {
				t.Errorf("%s has a key", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Signalling and media go over IPv6 as they do over IPv4, in clear and not.
func TestIPv6Calls(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll, "--sip-listen=udp://[::1]:0")
	for name, sec := range map[string]siprectest.Security{
		"clear": {}, "sdes": {Suite: "AES_CM_128_HMAC_SHA1_80"}, "dtls": {DTLS: true}, "ice": {DTLS: true, ICE: true},
	} {
		t.Run(name, func(t *testing.T) {
			spec := bursts()
			spec.Metadata.SIPSessionIDs = []string{"ipv6-" + name}
			for i := range spec.Streams {
				spec.Streams[i].Security = sec
			}
			truth := converse(t, s.src("udp"), spec, 4*time.Second)
			judge(t, dir, finished(t, dir, spec.Metadata.SIPSessionIDs[0]), truth, siprectest.DefaultLimits)
		})
	}
}
