package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec/srs"
	"github.com/greffier/greffier/storage/spool"
)

// A Main is the server: what `greffier serve` runs, and what tests and the demo run in their own process.
type Main struct {
	Config Config
	// Stderr takes the log and the line that says ready.
	Stderr io.Writer
	// Ready, if not nil, is closed when calls can be taken. The fields below are right from then on.
	Ready chan struct{}

	SIPAddrs []string // "udp://127.0.0.1:5060"
	HTTPAddr string   // "127.0.0.1:8080"
	Token    string   // bearer token of the API
	Admin    string   // that of the administrator

	log      *zap.Logger
	parts    *parts
	lists    *lists
	spool    *spool.Spool
	receiver *media.Receiver
	recorder *recorder.Recorder
	customer *customerSystem // nil: none is configured
	sip      *srs.Server
	http     *http.Server
	metrics  *metrics
	selftest *selftest
	rounds   *rounds

	admission *admission
	guarded   *guardMetrics
}

// What stopping may take beyond the drain.
const (
	settleTime = 10 * time.Second // to store what has just been recorded
	httpDrain  = 5 * time.Second  // to answer requests in progress
)

// Run opens everything, takes calls until ctx ends, and closes everything in the reverse order.
func (m *Main) Run(ctx context.Context) (err error) {
	if m.log, err = newLogger(m.Config.Log, m.Stderr); err != nil {
		return err
	}
	defer m.log.Sync()
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.open(ctx); err != nil {
		return err
	}
	listener, err := m.listen(ctx)
	if err != nil {
		return err
	}
	if err := m.witness(ctx, "server.started", map[string]any{"version": version, "policy_digest": m.parts.policy.Digest()}); err != nil {
		return errors.Join(err, listener.Close())
	}
	err = m.serve(ctx, listener)
	return errors.Join(err, m.witness(context.WithoutCancel(ctx), "server.stopped", map[string]any{"version": version}))
}

func (m *Main) witness(ctx context.Context, typ string, data any) error {
	_, err := m.parts.archive.Audit.Append(ctx, audit.Event{Time: time.Now(), Type: typ, Data: data})
	return err
}

// tryG729 has the decoder of G.729 decode a frame: one that cannot, or hangs, would cost calls later.
func tryG729(program string) error {
	if program == "" {
		return nil
	}
	d, err := codec.External(program)
	if err == nil {
		_, err = d.Decode(nil, make([]byte, 10)) // a frame is 10 bytes
		if c, ok := d.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	}
	if err != nil {
		return fmt.Errorf("try media.g729: %w", err)
	}
	return nil
}

// open makes every part, in the order of the import table.
func (m *Main) open(ctx context.Context) (err error) {
	c := m.Config
	if m.parts, err = openParts(ctx, c, serves); err != nil {
		return err
	}
	m.Token, m.Admin = m.parts.token, m.parts.adminToken
	if err := tryG729(c.Media.G729); err != nil {
		return err
	}
	m.lists = m.parts.lists(m.log.Named("lists"), m.warn)
	if err := m.lists.open(ctx, c, m.parts.policy); err != nil {
		return err
	}
	if err := m.parts.archive.Store.Check(ctx); err != nil {
		return fmt.Errorf("check store: %w", err)
	}
	if m.selftest, err = m.newSelftest(); err != nil {
		return err
	}
	if err := m.selftest.start(ctx); err != nil {
		return err
	}
	if m.spool, err = spool.Open(m.parts.archive.SpoolDir, spool.Options{}); err != nil {
		return err
	}
	low, high, err := c.Media.ports()
	if err != nil {
		return err
	}
	addrs, err := c.addresses()
	if err != nil {
		return err
	}
	m.receiver, err = media.NewReceiver(media.Config{
		Addr: addrs.bind, PortMin: low, PortMax: high, MaxRate: c.Media.MaxRate, Log: m.log.Named("media"),
	})
	if err != nil {
		return err
	}
	if err := m.probePorts(); err != nil {
		return err
	}
	m.metrics = newMetrics()
	profiles, err := c.profiles()
	if err != nil {
		return err
	}
	var adviser recorder.Adviser // not an interface around nil
	if m.customer, err = c.Consent.customerSystem(); err != nil {
		return err
	} else if m.customer != nil {
		adviser = m.customer
	}
	a := m.parts.archive
	m.recorder, err = recorder.New(recorder.Config{
		Adviser: adviser,
		Codecs:  codec.Set{G729: c.Media.G729},
		Policy:  m.lists.Policy, Directory: m.lists.Directory, Objectors: m.lists.Objectors, Receiver: m.receiver, Spool: m.spool, Keys: a.Keys, Store: a.Store, Eraser: a.Eraser, Catalog: a.Catalog, Audit: a.Audit,
		PseudonymKey: m.parts.pseudonymKey, FactsKey: m.parts.factsKey, MinFree: c.Spool.MinFree, Workers: c.Spool.Workers, Log: m.log.Named("recorder"), Observe: m.metrics.observe,
		MissingAfter: c.Media.Missing, Profiles: profiles, Holder: a.Holder,
	})
	if err != nil {
		return err
	}
	m.metrics.watch(m.recorder, m.spool)
	m.metrics.tested(m.selftest)
	if m.rounds, err = m.newRounds(); err != nil {
		return err
	}
	m.metrics.verified(m.rounds)
	m.admission = &admission{
		gauges:     gauges{disk: m.recorder.Ready, media: m.receiver.Stats, ports: m.receiver.FreePorts, backlog: m.spool.Backlog, cpu: readCPU},
		maxBacklog: c.Spool.MaxBacklog, log: m.log.Named("admission"), now: time.Now,
	}
	m.guarded = m.metrics.guard(m.admission)
	sources, err := c.sources()
	if err != nil {
		return err
	}
	sip := srs.Config{
		Listen: c.SIP.Listen, TLS: c.SIP.tls(), Advertise: addrs.sip, MediaAddr: addrs.media, Sources: sources, MaxDialogs: c.SIP.MaxSessions,
		Log: m.log.Named("sip"), Ready: m.admission.ready, Refused: m.refused, Realm: c.SIP.Realm,
	}
	if m.sip, err = srs.New(sip, m.recorder); err != nil {
		return err
	}
	m.recorder.Connect(wire{m.sip})
	return nil
}

// warn tells of settings that are allowed and may surprise.
func (m *Main) warn(p *policy.Policy) {
	if m.Config.Policy == "" {
		m.log.Warn("no policy is configured: nothing will be recorded")
	}
	if m.selftest != nil { // a policy that replaces another
		if err := m.selftest.allows(p); err != nil {
			m.log.Error("the store is not good enough for this policy, and the next start will be refused", zap.Error(err))
		}
	}
	for _, class := range p.Classes() {
		if class.Lock == policy.Compliance && m.Config.Store.Type == "dir" {
			m.log.Warn("the dir store's lock binds this program only: use S3 for COMPLIANCE", zap.String("class", class.Name))
		}
	}
}

// probePorts opens a pair of ports and closes it: an address that is not this machine's shows now, not at the first call.
func (m *Main) probePorts() error {
	r, err := m.receiver.Open(media.Open{Channels: 1, Streams: []media.Stream{{}}, Sink: discard{}})
	if err != nil {
		return fmt.Errorf("bind RTP ports: %w; check media.address, and set media.advertise behind a NAT", err)
	}
	_, err = r.Close(time.Now())
	return err
}

// discard is a sink for a recording of nothing.
type discard struct{}

func (discard) Append(*media.Block) error { return nil }

// refused audits and counts a request that was not accepted.
func (m *Main) refused(r srs.Refused) {
	m.metrics.refused(r.Status, r.Count)
	m.guarded.refused(r)
	err := m.recorder.Refused(context.Background(), recorder.Refusal{Source: r.Source.Addr(), SRC: r.SRC, Method: r.Method, Status: r.Status, Reason: r.Reason, Count: r.Count})
	if err != nil {
		m.log.Error("audit", zap.Error(err))
	}
}

// listen opens the sockets of SIP and HTTP.
func (m *Main) listen(ctx context.Context) (net.Listener, error) {
	if err := m.sip.Listen(ctx); err != nil {
		return nil, err
	}
	m.SIPAddrs = m.sip.Addrs()
	listener, err := net.Listen("tcp", m.Config.HTTP.Listen)
	if err == nil && m.Config.HTTP.TLSCert != "" {
		_, err = tls.LoadX509KeyPair(m.Config.HTTP.TLSCert, m.Config.HTTP.TLSKey) // before the first call is taken
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for HTTP: %w", err), m.sip.Close())
	}
	m.HTTPAddr = listener.Addr().String()
	m.http = m.newAPI().HTTPServer()
	return listener, nil
}

// serve runs until ctx ends or a part fails, then drains: refuse new sessions, let those in progress end until the deadline,
// end the rest, and finish what is in the spool's hands.
func (m *Main) serve(ctx context.Context, listener net.Listener) error {
	run, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var wg sync.WaitGroup
	start := func(name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(run); err != nil && run.Err() == nil {
				stop(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	if err := m.recorder.Recover(run); err != nil {
		m.log.Error("recover", zap.Error(err)) // an index: what it says of open sessions can wait
	}
	start("media", m.receiver.Run)
	start("recorder", m.recorder.Run)
	start("watch", m.recorder.Watch)
	start("admission", m.admission.run)
	start("sip", m.sip.Serve)
	start("ask", m.recorder.Ask)
	start("follow", m.recorder.Follow)
	start("silence", m.endSilent)
	start("lists", m.lists.run)
	start("selftest", m.selftest.run)
	start("alarm", m.recorder.Alarm)
	start("verify", m.rounds.run)
	replayed := make(chan struct{})
	start("keys", func(ctx context.Context) error {
		done := m.replayKeys(ctx)
		close(replayed)
		return m.keepKeys(ctx, done)
	})
	start("hangup", m.reloadAtHangup())
	start("http", func(ctx context.Context) error {
		select {
		case <-replayed: // nothing is played by a key that a backup brought back; calls need not wait
			return m.serveHTTP(listener)
		case <-ctx.Done():
			return listener.Close()
		}
	})

	fmt.Fprintf(m.Stderr, "ready sip=%s http=%s data=%s\n", strings.Join(m.SIPAddrs, ","), m.url(), m.dataDir())
	if m.Ready != nil {
		close(m.Ready)
	}
	select {
	case <-ctx.Done():
	case <-run.Done():
	}
	m.log.Info("stopping", zap.Duration("drain", m.Config.SIP.Drain))
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.Config.SIP.Drain)
	if err := m.sip.Drain(drain); err != nil {
		m.log.Warn("sessions are ended by the deadline", zap.Error(err))
	}
	cancel()
	err := m.sip.Close()
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	if err := m.recorder.Settle(settle); err != nil {
		m.log.Warn("recordings stay in the spool until the next start", zap.Error(err))
	}
	cancel()
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpDrain)
	defer cancel()
	if m.http.Shutdown(shutdown) != nil { // somebody still listens to a recording
		err = errors.Join(err, m.http.Close())
	}
	cause := context.Cause(run)
	stop(nil)
	wg.Wait()
	return errors.Join(cause, err)
}

func (m *Main) serveHTTP(l net.Listener) error {
	var err error
	if m.Config.HTTP.TLSCert != "" {
		err = m.http.ServeTLS(l, m.Config.HTTP.TLSCert, m.Config.HTTP.TLSKey)
	} else {
		err = m.http.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (m *Main) url() string {
	if m.Config.HTTP.TLSCert != "" {
		return "https://" + m.HTTPAddr
	}
	return "http://" + m.HTTPAddr
}

func (m *Main) dataDir() string {
	abs, err := filepath.Abs(m.Config.DataDir)
	if err != nil {
		return m.Config.DataDir
	}
	return abs
}

func (m *Main) close() error {
	var errs []error
	if m.customer != nil {
		m.customer.Close()
	}
	if m.spool != nil {
		errs = append(errs, m.spool.Close())
	}
	if m.parts != nil {
		errs = append(errs, m.parts.Close())
	}
	return errors.Join(errs...)
}
