package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
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
	maxSessions    = 1000           // browser sessions kept at once; the oldest goes
	sessionLife    = 12 * time.Hour // then the token is asked for again
)

// Errors that a Player returns and that have a meaning in HTTP.
var (
	ErrNotFound    = errors.New("no such recording")
	ErrNotFinished = errors.New("the recording is not finished yet")
	ErrGone        = errors.New("there is nothing to play")
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
	// Token is the bearer token (RFC 6750). It is compared in constant time and never logged.
	Token string
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
	cfg   Config
	token [sha256.Size]byte

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]time.Time // hash of a session cookie, and when it ends
}

// New makes the server.
func New(cfg Config) *Server {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Server{cfg: cfg, token: sha256.Sum256([]byte(cfg.Token)), sessions: map[[sha256.Size]byte]time.Time{}}
}

//go:embed ui
var ui embed.FS

// Handler routes every request.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", s.ready)
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", s.cfg.Metrics)
	}
	mux.HandleFunc("POST /api/v1/session", s.login)
	mux.HandleFunc("DELETE /api/v1/session", s.logout)
	mux.Handle("GET /api/v1/recordings", s.authorised(s.list))
	mux.Handle("GET /api/v1/recordings/{id}", s.authorised(s.get))
	mux.Handle("GET /api/v1/recordings/{id}/audio", s.authorised(s.audio))
	mux.Handle("GET /api/v1/recordings/{id}/waveform", s.authorised(s.waveform))
	mux.HandleFunc("HEAD /api/v1/recordings/{id}/audio", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusMethodNotAllowed) // it would count as having listened
	})
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

const cookieName = "greffier"

// holdsToken tells whether a request carries the bearer token.
func (s *Server) holdsToken(r *http.Request) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1 && ok && s.cfg.Token != ""
}

func (s *Server) holdsSession(r *http.Request) bool {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.sessions[sha256.Sum256([]byte(c.Value))] // the key is a hash: its look-up tells nothing about the cookie
	return ok && s.cfg.Clock().Before(until)
}

// authorised lets a request through that carries the token, or the cookie that the token was exchanged for.
func (s *Server) authorised(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.holdsToken(r) && !s.holdsSession(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="greffier"`)
			fail(w, http.StatusUnauthorized, "a bearer token is needed: it is in the file secrets/api-token of the data directory")
			return
		}
		next(w, r)
	})
}

// login exchanges the token for a cookie that scripts cannot read, so that an audio element can ask for ranges.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	if !s.holdsToken(r) {
		fail(w, http.StatusUnauthorized, "the token is wrong")
		return
	}
	raw := make([]byte, 32)
	rand.Read(raw)
	value, now := hex.EncodeToString(raw), s.cfg.Clock()
	s.mu.Lock()
	for k, until := range s.sessions {
		if !now.Before(until) || len(s.sessions) >= maxSessions {
			delete(s.sessions, k)
		}
	}
	s.sessions[sha256.Sum256([]byte(value))] = now.Add(sessionLife)
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: value, Path: "/", HttpOnly: true, Secure: s.cfg.Secure, SameSite: http.SameSiteStrictMode, MaxAge: int(sessionLife.Seconds()),
	})
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		delete(s.sessions, sha256.Sum256([]byte(c.Value)))
		s.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", HttpOnly: true, Secure: s.cfg.Secure, SameSite: http.SameSiteStrictMode, MaxAge: -1})
	w.WriteHeader(http.StatusNoContent)
}

// fail answers with a problem document (RFC 9457).
func fail(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}

func (s *Server) internal(w http.ResponseWriter, r *http.Request, err error) {
	s.cfg.Log.Error("request", zap.String("path", r.URL.Path), zap.Error(err))
	fail(w, http.StatusInternalServerError, "the request could not be answered; the server's log says why")
}
