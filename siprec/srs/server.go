package srs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/greffier/greffier/siprec"
)

// A Recorder is who decides about recording sessions and records them. For one dialog the server makes its calls one after
// the other; for different dialogs at the same time.
type Recorder interface {
	// Begin opens a recording session. An error refuses it; a *siprec.Refusal says with which SIP status. The context ends
	// when the client cancels, and after 20 s.
	Begin(ctx context.Context, in siprec.Invitation) (siprec.Answer, error)
	// Update changes an open one. The Answer is used when c.Offer is not nil. An error refuses the change and the session
	// goes on as it was.
	Update(ctx context.Context, id siprec.DialogID, c siprec.Change) (siprec.Answer, error)
	// End closes one: once for each Begin that succeeded.
	End(id siprec.DialogID, cause siprec.EndCause, at time.Time)
}

// Config says how a Server listens and whom it serves.
type Config struct {
	Listen     []string         // "udp://127.0.0.1:5060", "tcp://[2001:db8::1]:5060", "tls://127.0.0.1:5061"; port 0 picks a free one
	TLS        TLSFiles         // for tls:// listeners
	Advertise  []netip.AddrPort // what Contact says when a NAT is in front, one for each family; one alone is for all clients. Port 0, and over TLS: the listener's
	MediaAddr  []netip.Addr     // what Invitation.Local says, likewise; default: Advertise, else the address that the request came in on
	Sources    []Source         // empty only when every listener is loopback
	Realm      string           // of digest authentication; default "greffier"
	MaxDialogs int              // more are answered with 503; default 4000

	Log     *zap.Logger      // default: none
	Clock   func() time.Time // default: time.Now
	Refused func(Refused)    // called for each refused request, from several goroutines, before the answer; for strangers, soon after it
	Ready   func() error     // asked before an INVITE or OPTIONS is accepted; an error gives 503 with Retry-After
}

// A Server is a recording server's SIP side. Its methods may be called from any goroutine.
type Server struct {
	cfg      Config
	log      *zap.Logger
	now      func() time.Time
	recorder Recorder
	sources  *sourceTable
	dialogs  *dialogTable
	timing   timing

	ua        *sipgo.UserAgent
	sip       *sipgo.Server
	strangers *doorman
	screen    *screen
	endpoints []*endpoint
	certs     *certificates // nil: no TLS
	secured   securedConns
	nonces    *nonces

	halfOpen chan struct{} // a token for each INVITE without a final answer
	draining atomic.Bool
	gate     gate // open while requests are handled

	serving  sync.WaitGroup // listeners, sweeper
	stopping chan struct{}  // closed when Close begins
	stopped  chan struct{}  // closed when Close has ended
	stopOnce sync.Once
	stopErr  error

	mu      sync.Mutex         // protects what follows
	base    context.Context    // what handlers run under: the end of it cuts a Recorder short at Close
	cancel  context.CancelFunc // ends base
	bound   bool
	started bool
}

// timing holds the times that tests shorten.
type timing struct {
	t1, t2  time.Duration
	pending time.Duration
	reorder time.Duration
	sweep   time.Duration
	certs   time.Duration
	request time.Duration
	answer  time.Duration
	glare   time.Duration
	message time.Duration
	linger  time.Duration
}

// New checks the configuration and makes a server that does not listen yet.
func New(cfg Config, r Recorder) (*Server, error) {
	endpoints, err := parseListen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	if len(cfg.Sources) == 0 {
		for _, e := range endpoints {
			if !e.addr.Addr().IsLoopback() {
				return nil, fmt.Errorf("listener %s can be reached from other machines and no sources are configured: list the SRCs that may record under sources, or listen on 127.0.0.1", e)
			}
		}
		cfg.Sources = []Source{loopbackSource()}
	}
	sources, err := newSourceTable(cfg.Sources)
	if err != nil {
		return nil, err
	}
	if cfg.MaxDialogs < 0 {
		return nil, fmt.Errorf("max dialogs is %d: use a positive number, or 0 for %d", cfg.MaxDialogs, defaultMaxDialogs)
	}
	if cfg.MaxDialogs == 0 {
		cfg.MaxDialogs = defaultMaxDialogs
	}
	if cfg.Realm == "" {
		cfg.Realm = defaultRealm
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	s := &Server{
		cfg: cfg, log: cfg.Log, now: cfg.Clock, recorder: r, sources: sources, endpoints: endpoints,
		dialogs: newDialogTable(cfg.MaxDialogs),
		timing: timing{
			t1: timerT1, t2: timerT2, pending: pendingWait, reorder: reorderWait, sweep: sweepInterval, certs: certInterval,
			request: requestTimeout, answer: answerTimeout, glare: glareUnit, message: messageTime, linger: lingerTime,
		},
		halfOpen: make(chan struct{}, maxHalfOpen),
		nonces:   newNonces(),
		stopping: make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	if s.certs, err = tlsOf(cfg, endpoints); err != nil {
		return nil, err
	}
	s.base, s.cancel = context.WithCancel(context.Background())
	if err := s.buildStack(); err != nil {
		return nil, fmt.Errorf("build SIP stack: %w", err)
	}
	return s, nil
}

// tlsOf reads the certificates, and checks what the sources ask of them; nil when there is no TLS.
func tlsOf(cfg Config, endpoints []*endpoint) (*certificates, error) {
	i := slices.IndexFunc(endpoints, func(e *endpoint) bool { return e.network == "tls" })
	for _, src := range cfg.Sources {
		switch {
		case len(src.TLSNames) == 0:
		case i < 0:
			return nil, fmt.Errorf("source %q has TLS names and nothing listens on TLS: add a listener such as tls://192.0.2.1:5061", src.Name)
		case cfg.TLS.ClientCA == "":
			return nil, fmt.Errorf("source %q has TLS names and no authority is set for its certificate: set tls_client_ca to a PEM file", src.Name)
		}
	}
	if i < 0 && cfg.TLS == (TLSFiles{}) {
		return nil, nil
	}
	certs, err := newCertificates(cfg.TLS)
	if err != nil && i >= 0 {
		return nil, fmt.Errorf("listener %s: %w", endpoints[i], err)
	}
	return certs, err
}

// buildStack makes sipgo's transport and transaction layers and registers the handlers.
func (s *Server) buildStack() error {
	raiseProcessLimits()
	quiet := slog.New(bridge{s.log})
	parser := newParser()
	s.screen = newScreen(parser, s.now, s.dialogs.has, s.cfg.Sources)
	s.strangers = newDoorman(parser, s.now, func(r Refused) { s.report(r, nil) })

	var err error
	s.ua, err = sipgo.NewUA(
		sipgo.WithUserAgent(product),
		sipgo.WithUserAgentParser(parser),
		sipgo.WithUserAgentDNSResolver(noDNS()),
		sipgo.WithUserAgenTLSConfig(s.dialConfig()),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(quiet)),
		sipgo.WithUserAgentTransactionLayerOptions(
			sip.WithTransactionLayerLogger(quiet),
			sip.WithTransactionLayerUnhandledResponseHandler(func(*sip.Response) {}),
		),
	)
	if err != nil {
		return err
	}
	s.sip, err = sipgo.NewServer(s.ua, sipgo.WithServerLogger(quiet))
	if err != nil {
		return err
	}
	s.sip.OnInvite(s.handler(s.onInvite))
	s.sip.OnAck(s.handler(s.onAck))
	s.sip.OnCancel(s.handler(s.onCancel))
	s.sip.OnBye(s.handler(s.onBye))
	s.sip.OnUpdate(s.handler(s.onUpdate))
	s.sip.OnInfo(s.handler(s.onInfo))
	s.sip.OnOptions(s.handler(s.onOptions))
	s.sip.OnNoRoute(s.handler(s.onOther))
	return nil
}

// Listen binds the listeners; after it Addrs tells their real ports. Nothing is answered before Serve.
func (s *Server) Listen(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bound {
		return nil
	}
	select {
	case <-s.stopping:
		return errors.New("listen: the server is closed")
	default:
	}
	for _, e := range s.endpoints {
		if err := e.bind(ctx, s); err != nil {
			for _, e := range s.endpoints {
				e.close()
			}
			return fmt.Errorf("listen on %s: %w", e, err)
		}
	}
	s.bound = true
	return nil
}

// Addrs lists the listeners, such as "udp://127.0.0.1:40123".
func (s *Server) Addrs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.endpoints {
		out = append(out, e.String())
	}
	return out
}

// Serve answers requests until the context ends, Close is called or a listener fails; then it closes the server. It binds
// the listeners if Listen was not called. The error is nil unless a listener failed, or closing did.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.Listen(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	if s.started {
		s.mu.Unlock()
		return errors.New("serve: the server was started before")
	}
	s.started = true
	s.serving.Add(len(s.endpoints) + 2)
	if s.certs != nil {
		s.serving.Add(1)
	}
	s.mu.Unlock()

	failed := make(chan error, len(s.endpoints))
	for _, e := range s.endpoints {
		go func() {
			defer s.serving.Done()
			if err := e.serve(s); err != nil {
				failed <- fmt.Errorf("serve %s: %w", e, err)
			}
		}()
	}
	go s.sweepLoop()
	if s.certs != nil {
		s.logCertificates("TLS certificates loaded")
		go func() {
			defer s.serving.Done()
			s.watchCertificates()
		}()
	}
	go func() {
		defer s.serving.Done()
		s.strangers.reportUntil(s.stopping)
	}()

	var err error
	select {
	case <-ctx.Done():
	case <-s.stopping:
	case err = <-failed:
	}
	return errors.Join(err, s.Close())
}

// Drain refuses new INVITEs with 503 from now on, and returns when no dialog is left or the context ends. Calls that are
// being recorded go on; Close ends those that are left.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	for {
		n, removed := s.dialogs.watch()
		if n == 0 {
			return nil
		}
		select {
		case <-removed:
		case <-ctx.Done():
			return fmt.Errorf("drain: %d recording sessions are left: %w", n, ctx.Err())
		}
	}
}

// Close ends every dialog with a BYE and EndDrained, closes the listeners, and returns when everything has ended.
func (s *Server) Close() error {
	s.stopOnce.Do(func() {
		s.draining.Store(true)
		close(s.stopping)
		s.stopErr = s.shutdown()
		close(s.stopped)
	})
	<-s.stopped
	return s.stopErr
}

func (s *Server) shutdown() error {
	s.hangupAll()
	s.cancel()
	err := s.gate.close(handlerTimeout)
	s.hangupAll() // those whose INVITE was just being accepted

	s.mu.Lock()
	for _, e := range s.endpoints {
		e.close()
	}
	s.mu.Unlock()
	if uaErr := s.ua.Close(); uaErr != nil {
		s.log.Debug("SIP stack closed with an error", zap.Error(uaErr))
	}
	s.serving.Wait()
	s.strangers.finish()
	s.summarise(s.now(), true)
	return err
}

func (s *Server) hangupAll() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var byes sync.WaitGroup
	for _, d := range s.dialogs.all() {
		byes.Go(func() {
			if err := s.hangup(ctx, d, siprec.EndDrained, "the recording server is stopping"); err != nil {
				s.log.Warn("BYE not answered", zap.String("call_id", d.id.CallID), zap.Error(err))
			}
		})
	}
	byes.Wait()
}
