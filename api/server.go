package api

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
)

// Bounds of one request.
const (
	maxHeaderBytes = 32 << 10
	readTimeout    = 10 * time.Second
	idleTimeout    = 2 * time.Minute
)

// Errors that a Player returns and that have a meaning in HTTP.
var (
	ErrNotFound    = errors.New("no such recording")
	ErrNotFinished = errors.New("the recording is not finished yet")
	ErrGone        = errors.New("there is nothing to play")
	ErrRestricted  = errors.New("the use of the recording is restricted: the command line plays it, with a reason of its own (--despite-restriction)")
)

// A Sound is the plain file of a recording, opened for one answer.
type Sound struct {
	io.ReadSeekCloser
	Format policy.Format
}

// A player opens recordings, after the access has been witnessed. A waveform is JSON: it may be absent, and is nil then.
type player interface {
	Play(ctx context.Context, id, actor, why, span string) (*Sound, error)
	Waveform(ctx context.Context, id, actor string) (json.RawMessage, error)
}

// A finder searches the catalog.
type finder interface {
	Find(ctx context.Context, q catalog.Query) ([]catalog.Recording, error)
}

// Config holds what the API serves.
type Config struct {
	Catalog *catalog.Catalog
	Audit   *audit.Log
	Finder  finder
	Player  player

	// Live, Control, Objections, Expecter and Policy are what those work with who act on calls that go on, on who objects, and on the
	// policy. Where one is nil the answer is 501.
	Live       live
	Control    controller
	Objections objections
	Expecter   expecter
	Policy     policyStore

	// Token is the bearer token (RFC 6750). It is compared in constant time and never logged.
	Token string
	// AdminToken is that of an administrator, who alone may change the policy; it gives no other right. "" means that nobody may.
	AdminToken string
	// Ready says whether new calls can be taken.
	Ready func() error
	// Metrics serves /metrics; may be nil.
	Metrics http.Handler
	Clock   func() time.Time
	Log     *zap.Logger
	// Secure marks cookies for TLS only.
	Secure bool
}

// A Server answers requests. Make it with New, and serve its Handler.
type Server struct {
	cfg               Config
	token, adminToken [sha256.Size]byte

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]time.Time // hash of a session cookie, and when it ends
	watches  map[[sha256.Size]byte]time.Time // hash of who watches which calls, and until when it is witnessed
}

// New makes the server.
func New(cfg Config) *Server {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Server{
		cfg: cfg, token: sha256.Sum256([]byte(cfg.Token)), adminToken: sha256.Sum256([]byte(cfg.AdminToken)),
		sessions: map[[sha256.Size]byte]time.Time{}, watches: map[[sha256.Size]byte]time.Time{},
	}
}

//go:embed ui
var ui embed.FS

// A route is one kind of request, who may make it, and what answers it.
type route struct {
	pattern string
	who     func(http.HandlerFunc) http.Handler
	answer  http.HandlerFunc
}

// routes lists every request of the API. Those whose part a server does not have are answered 501.
func (s *Server) routes() []route {
	c := s.cfg
	return []route{
		{"POST /api/v1/session", s.everybody, s.login},
		{"DELETE /api/v1/session", s.everybody, s.logout},

		{"GET /api/v1/recordings", s.authorised, s.list},
		{"GET /api/v1/recordings/{id}", s.authorised, s.get},
		{"GET /api/v1/recordings/{id}/audio", s.authorised, s.audio},
		{"HEAD /api/v1/recordings/{id}/audio", s.everybody, notAllowed}, // it would count as having listened
		{"GET /api/v1/recordings/{id}/waveform", s.authorised, s.waveform},
		{"POST /api/v1/recordings/{id}/screen", s.authorised, with(c.Policy != nil, s.linkScreen)},

		{"GET /api/v1/calls", s.authorised, with(c.Live != nil, s.calls)},
		{"GET /api/v1/calls/{id}", s.authorised, with(c.Live != nil, s.call)},
		{"POST /api/v1/calls/{id}/pause", s.authorised, with(c.Control != nil, s.pause)},
		{"POST /api/v1/calls/{id}/resume", s.authorised, with(c.Control != nil, s.resume)},
		{"POST /api/v1/calls/{id}/mark", s.authorised, with(c.Control != nil, s.mark)},
		{"POST /api/v1/calls/{id}/consent", s.authorised, with(c.Control != nil, s.consent)},
		{"POST /api/v1/calls/{id}/private", s.authorised, with(c.Control != nil, s.private)},

		{"POST /api/v1/cdrs", s.authorised, with(c.Expecter != nil, s.expect)},
		{"GET /api/v1/objections", s.authorised, with(c.Objections != nil, s.objections)},
		{"POST /api/v1/objections", s.authorised, with(c.Objections != nil, s.object)},
		{"DELETE /api/v1/objections", s.authorised, with(c.Objections != nil, s.withdraw)},

		{"GET /api/v1/policy", s.authorised, with(c.Policy != nil, s.policy)},
		{"PUT /api/v1/policy", s.administers, with(c.Policy != nil, s.propose)},
	}
}

// with answers by next where the server has the part that it needs.
func with(has bool, next http.HandlerFunc) http.HandlerFunc {
	if has {
		return next
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusNotImplemented, "this server has no such function")
	}
}

func notAllowed(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }

// Handler routes every request.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", s.ready)
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", s.cfg.Metrics)
	}
	requests := http.NewServeMux() // of its own: what the page is served by knows every path
	for _, r := range s.routes() {
		requests.Handle(r.pattern, r.who(r.answer))
	}
	for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
		mux.Handle(method+" /api/", requests)
	}
	pages, err := fs.Sub(ui, "ui")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	mux.Handle("GET /", http.FileServerFS(pages))
	return headers(mux)
}

// HTTPServer wraps the handler in a server with time limits.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: readTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	}
}

// headers sets what every answer carries: nothing is cached, framed, sniffed or loaded from elsewhere.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			s.cfg.Log.Warn("not ready", zap.Error(err))
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
	}
	io.WriteString(w, "ready\n")
}

// fail answers with a problem document (RFC 9457).
func fail(w http.ResponseWriter, status int, detail string) { failWith(w, status, detail, nil) }

// failWith is fail with members of its own.
func failWith(w http.ResponseWriter, status int, detail string, members map[string]any) {
	problem := map[string]any{"title": http.StatusText(status), "status": status, "detail": detail}
	maps.Copy(problem, members)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(problem)
}

func (s *Server) internal(w http.ResponseWriter, r *http.Request, err error) {
	s.cfg.Log.Error("request", zap.String("path", r.URL.Path), zap.Error(err))
	fail(w, http.StatusInternalServerError, "the request could not be answered; the server's log says why")
}
