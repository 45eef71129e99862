package catalog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// howToWrite is the end of every error about a URL. What the URL says is in none: it may hold a password.
const howToWrite = "write it as postgres://user@host:5432/database?sslmode=verify-full"

// parse reads the URL, and adds what it does not say.
func (p Postgres) parse() (*pgx.ConnConfig, error) {
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("its URL cannot be read: " + howToWrite)
	}
	cfg, err := pgx.ParseConfig(p.URL)
	if err != nil {
		return nil, unreadable(u, err)
	}
	q := u.Query()
	if !q.Has("sslmode") && !q.Has("ssl") && !isHere(cfg) {
		q.Set("sslmode", "verify-full")
		u.RawQuery = q.Encode()
		if cfg, err = pgx.ParseConfig(u.String()); err != nil {
			return nil, unreadable(u, err)
		}
	}
	if cfg.ConnectTimeout == 0 || !q.Has("connect_timeout") {
		cfg.ConnectTimeout = connectTimeout
	}
	if cfg.ValidateConnect == nil { // of several hosts, the one that writes
		cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	for name, value := range map[string]string{
		"application_name": "greffier", "idle_in_transaction_session_timeout": fmt.Sprint(idleTimeout.Milliseconds()), "client_encoding": "UTF8",
	} {
		if _, set := cfg.RuntimeParams[name]; !set {
			cfg.RuntimeParams[name] = value
		}
	}
	return cfg, nil
}

// Name names the database, without user and password: it is the same for whoever opens it. The error is that of a URL that cannot be read.
func (p Postgres) Name() (string, error) {
	cfg, err := p.parse()
	if err != nil {
		return "", err
	}
	hosts := []string{net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))}
	for _, f := range cfg.Fallbacks {
		if host := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))); !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return fmt.Sprintf("postgres %s %s", strings.Join(hosts, ","), cfg.Database), nil
}

// unreadable says what is wrong with a URL, without its secrets. The error that it is made of has the URL in it, and is not wrapped.
func unreadable(u *url.URL, err error) error {
	cause := err
	for next := errors.Unwrap(cause); next != nil; next = errors.Unwrap(cause) {
		cause = next
	}
	text := cause.Error()
	secret, _ := u.User.Password()
	for _, s := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), u.Query().Get("password"), u.Query().Get("sslpassword")} {
		if s != "" {
			text = strings.ReplaceAll(text, s, "xxxxx")
		}
	}
	if cause == err || strings.Contains(text, "://") {
		return errors.New("its URL cannot be read: " + howToWrite)
	}
	return fmt.Errorf("its URL cannot be read (%s): %s", text, howToWrite)
}

// isHere tells whether every host is this machine.
func isHere(cfg *pgx.ConnConfig) bool {
	hosts := []string{cfg.Host}
	for _, f := range cfg.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		address, err := netip.ParseAddr(host)
		if !strings.HasPrefix(host, "/") && !strings.HasPrefix(host, "@") && host != "localhost" && (err != nil || !address.IsLoopback()) {
			return false
		}
	}
	return true
}

// password reads the password for a connection that is about to be made: it may have been changed since the last one.
func (p Postgres) password(_ context.Context, cfg *pgx.ConnConfig) error {
	if p.PasswordFile == "" {
		return nil
	}
	info, err := os.Stat(p.PasswordFile)
	if err != nil {
		return fmt.Errorf("read catalog password: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be read by others; run: chmod 600 %s", p.PasswordFile, p.PasswordFile)
	}
	text, err := os.ReadFile(p.PasswordFile)
	if err != nil {
		return fmt.Errorf("read catalog password: %w", err)
	}
	if cfg.Password = strings.TrimSpace(string(text)); cfg.Password == "" {
		return fmt.Errorf("%s is empty: write the password of the catalog's role into it", p.PasswordFile)
	}
	return nil
}
