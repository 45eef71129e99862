package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// Bounds of browser sessions.
const (
	maxSessions = 1000           // kept at once; one more ends any of them
	sessionLife = 12 * time.Hour // then the token is asked for again
)

const cookieName = "greffier"

// holds tells whether a request carries the bearer token whose hash is given. No token is never held.
func holds(r *http.Request, token string, sum [sha256.Size]byte) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	got := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(got[:], sum[:]) == 1 && ok && token != ""
}

func (s *Server) holdsToken(r *http.Request) bool { return holds(r, s.cfg.Token, s.token) }

func (s *Server) holdsAdminToken(r *http.Request) bool {
	return holds(r, s.cfg.AdminToken, s.adminToken)
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

// administers lets a request through that carries the administrator's token. Whoever may search and listen is told that this is not
// enough (R35).
func (s *Server) administers(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.holdsAdminToken(r):
			next(w, r)
		case s.holdsToken(r) || s.holdsSession(r):
			fail(w, http.StatusForbidden, "only an administrator may do this: it needs the token in the file secrets/admin-token of the data directory")
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="greffier administration"`)
			fail(w, http.StatusUnauthorized, "the administrator's bearer token is needed: it is in the file secrets/admin-token of the data directory")
		}
	})
}

// everybody lets every request through.
func (s *Server) everybody(next http.HandlerFunc) http.Handler { return next }

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
