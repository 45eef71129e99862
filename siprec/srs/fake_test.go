package srs_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// A fakeRecorder accepts everything, and fails the test when the server breaks its promises.
type fakeRecorder struct {
	t      *testing.T
	begin  func(context.Context, siprec.Invitation) (siprec.Answer, error)
	update func(context.Context, siprec.DialogID, siprec.Change) (siprec.Answer, error)
	onEnd  func(siprec.DialogID)

	mu    sync.Mutex // protects what follows
	state map[siprec.DialogID]string
	busy  map[siprec.DialogID]bool

	reorder time.Duration // 0: the server's own
	eager   bool          // the server looks at its certificates often
	hurried bool          // the server does not wait long for answers

	begins  chan siprec.Invitation
	updates chan siprec.Change
	ends    chan ending
}

type ending struct {
	id    siprec.DialogID
	cause siprec.EndCause
	at    time.Time
}

func newFake(t *testing.T) *fakeRecorder {
	return &fakeRecorder{
		t: t, state: map[siprec.DialogID]string{}, busy: map[siprec.DialogID]bool{},
		begins: make(chan siprec.Invitation, 1000), updates: make(chan siprec.Change, 1000), ends: make(chan ending, 1000),
	}
}

// enter checks that the dialog is in the wanted state and that nobody else is inside.
func (f *fakeRecorder) enter(call string, id siprec.DialogID, want string) func(next string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy[id] {
		f.t.Errorf("%s of %v while another call of the dialog is running", call, id)
	}
	if got := f.state[id]; got != want {
		f.t.Errorf("%s of %v, which is in state %q, not %q", call, id, got, want)
	}
	f.busy[id] = true
	return func(next string) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.busy[id] = false
		f.state[id] = next
	}
}

func (f *fakeRecorder) Begin(ctx context.Context, in siprec.Invitation) (a siprec.Answer, err error) {
	leave := f.enter("Begin", in.Dialog, "")
	next := ""
	defer func() { leave(next) }()
	if in.Offer == nil {
		f.t.Error("Begin without an offer")
	}
	if f.begin != nil {
		a, err = f.begin(ctx, in)
	} else {
		a = answerTo(in.Offer, in.Local)
	}
	if err == nil {
		next = "open"
		f.begins <- in
	}
	return a, err
}

func (f *fakeRecorder) Update(ctx context.Context, id siprec.DialogID, c siprec.Change) (a siprec.Answer, err error) {
	leave := f.enter("Update", id, "open")
	defer leave("open")
	if c.Offer == nil && c.Metadata == nil {
		f.t.Error("Update without a change")
	}
	if f.update != nil {
		a, err = f.update(ctx, id, c)
	} else if c.Offer != nil {
		a = answerTo(c.Offer, netip.Addr{})
	}
	if err == nil {
		f.updates <- c
	}
	return a, err
}

func (f *fakeRecorder) End(id siprec.DialogID, cause siprec.EndCause, at time.Time) {
	leave := f.enter("End", id, "open")
	defer leave("ended")
	f.ends <- ending{id, cause, at}
	if f.onEnd != nil {
		f.onEnd(id)
	}
}

// settled fails the test when a session was begun and not ended.
func (f *fakeRecorder) settled() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, st := range f.state {
		if st == "open" {
			f.t.Errorf("session %v was never ended", id)
		}
	}
}

// answerTo accepts audio and refuses everything else.
func answerTo(o *siprec.Offer, addr netip.Addr) siprec.Answer {
	a := siprec.Answer{Addr: addr}
	for i, m := range o.Media {
		am := siprec.AnswerMedia{Formats: m.Formats, RTCPMux: m.RTCPMux, Direction: siprec.RecvOnly}
		if m.Type == "audio" && m.Port != 0 {
			am.Port = 40000 + 2*i
		}
		if m.Direction == siprec.Inactive || m.Direction == siprec.RecvOnly {
			am.Direction = siprec.Inactive
		}
		a.Media = append(a.Media, am)
	}
	return a
}

func take[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s came", what)
		panic("unreachable")
	}
}

// A rig is a running server with a fake Recorder.
type rig struct {
	t       *testing.T
	server  *srs.Server
	rec     *fakeRecorder
	refused chan srs.Refused
	logs    *observer.ObservedLogs
	served  chan error
}

// start runs a server with a UDP and a TCP listener on loopback. The setup may change the configuration and the server.
func start(t *testing.T, rec *fakeRecorder, setup ...func(*srs.Config)) *rig {
	t.Helper()
	return startShort(t, rec, 0, setup...)
}

// startEager is start of a server that looks at its certificates often.
func startEager(t *testing.T, rec *fakeRecorder, setup ...func(*srs.Config)) *rig {
	t.Helper()
	rec.eager = true
	return startShort(t, rec, 0, setup...)
}

// startShort is start with a short T1.
func startShort(t *testing.T, rec *fakeRecorder, t1 time.Duration, setup ...func(*srs.Config)) *rig {
	t.Helper()
	return startWith(t, rec, func(s *srs.Server) {
		if t1 > 0 {
			s.Shorten(t1, 8*t1, 200*time.Millisecond)
		}
	}, setup...)
}

// startWith is start of a server that is changed before it listens.
func startWith(t *testing.T, rec *fakeRecorder, change func(*srs.Server), setup ...func(*srs.Config)) *rig {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	r := &rig{t: t, rec: rec, refused: make(chan srs.Refused, 1000), logs: logs, served: make(chan error, 1)}
	cfg := srs.Config{
		Listen:  []string{"udp://127.0.0.1:0", "tcp://127.0.0.1:0"},
		Log:     zap.New(core),
		Refused: func(x srs.Refused) { r.refused <- x },
	}
	for _, f := range setup {
		f(&cfg)
	}
	var err error
	if r.server, err = srs.New(cfg, rec); err != nil {
		t.Fatal(err)
	}
	change(r.server)
	if rec.eager {
		r.server.LookOften()
	}
	if rec.hurried {
		r.server.Hurry(300*time.Millisecond, 300*time.Millisecond, time.Millisecond/4)
	}
	if rec.reorder > 0 {
		r.server.Await(rec.reorder)
	}
	if err := r.server.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	go func() { r.served <- r.server.Serve(context.Background()) }()
	t.Cleanup(func() {
		if err := r.server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-r.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		rec.settled()
	})
	return r
}

// listener gives the first listener of a network.
func (r *rig) listener(network string) string {
	for _, a := range r.server.Addrs() {
		if strings.HasPrefix(a, network+"://") {
			return a
		}
	}
	r.t.Fatalf("no %s listener in %v", network, r.server.Addrs())
	return ""
}

func (r *rig) dial(network string) *peer { return dial(r.t, r.listener(network), "") }

// refusal waits for a report and checks its status.
func (r *rig) refusal(status int) srs.Refused {
	r.t.Helper()
	got := take(r.t, "report of a refusal", r.refused)
	if got.Status != status {
		r.t.Fatalf("refusal %+v, want status %d", got, status)
	}
	return got
}

// each runs a test over UDP and TCP.
func each(t *testing.T, f func(t *testing.T, network string)) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			f(t, network)
		})
	}
}

// Bodies.

const metadataType = "application/rs-metadata+xml"

// offer is a description of audio m-lines with labels 1, 2, ...; each direction is one line.
func offer(directions ...string) string {
	var b strings.Builder
	b.WriteString("v=0\r\no=src 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n")
	for i, d := range directions {
		fmt.Fprintf(&b, "m=audio %d RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=label:%d\r\na=%s\r\n", 50000+2*i, i+1, d)
	}
	return b.String()
}

// metadata is a document with one participant per name; each sends the stream with the label of the same index.
func metadata(names ...string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><recording xmlns="urn:ietf:params:xml:ns:recording:1">` +
		`<datamode>complete</datamode><session session_id="c2Vzc2lvbg=="></session>`)
	for i, n := range names {
		fmt.Fprintf(&b, `<participant participant_id="p%d"><nameID aor="sip:%s@example.com"><name>%s</name></nameID></participant>`, i+1, n, n)
	}
	for i := range names {
		fmt.Fprintf(&b, `<stream stream_id="s%d" session_id="c2Vzc2lvbg=="><label>%d</label></stream>`, i+1, i+1)
	}
	for i := range names {
		fmt.Fprintf(&b, `<participantstreamassoc participant_id="p%d"><send>s%d</send></participantstreamassoc>`, i+1, i+1)
	}
	return b.String() + "</recording>"
}

const multipartType = "multipart/mixed;boundary=foobar"

// multipart joins bodies; each is a type and a content.
func multipart(parts ...[2]string) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "--foobar\r\nContent-Type: %s\r\n\r\n%s\r\n", p[0], p[1])
	}
	return b.String() + "--foobar--\r\n"
}

// both is the usual body of an INVITE.
func both(directions ...string) string {
	return multipart([2]string{"application/sdp", offer(directions...)}, [2]string{metadataType, metadata("alice", "bob")})
}

func hostPort(listener string) (string, string) {
	_, hp, _ := strings.Cut(listener, "://")
	h, p, _ := net.SplitHostPort(hp)
	return h, p
}
