// Package catalogtest runs a PostgreSQL server for tests: a process of its own that ends with them, on a loopback port, and a fresh
// database for each test.
package catalogtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/greffier/greffier/internal/testserver"
)

const (
	startTimeout   = 60 * time.Second
	stopTimeout    = 30 * time.Second
	commandTimeout = 60 * time.Second
	readyPause     = 50 * time.Millisecond
	startTries     = 3 // another process may take the free port first

	administrator = "postgres"
	role          = "greffier" // owns the databases, and may do nothing else
)

// A Server is a PostgreSQL server.
type Server struct {
	dir      string // of everything that it has
	bin      string
	address  string
	password string // of administrator and role
	fsync    bool

	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	output *testserver.Output
}

// StartPostgres starts a server that a test may stop and start again, and that loses nothing by that. It ends with the test.
func StartPostgres(t testing.TB) *Server {
	t.Helper()
	s, err := open(true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A Shared is one server for all tests of a test binary, that starts when the first of them asks for it. It writes to its disk when it
// likes. TestMain closes it.
type Shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Server gives the server.
func (s *Shared) Server(t testing.TB) *Server {
	t.Helper()
	s.once.Do(func() { s.server, s.err = open(false) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server
}

// Close ends the server, if it was started.
func (s *Shared) Close() error {
	if s.server == nil {
		return nil
	}
	return s.server.close()
}

// Address is where the server listens, as 127.0.0.1:port.
func (s *Server) Address() string { return s.address }

// Database makes an empty database for a test, and gives its URL, as its owner opens it.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	s.Administer(t, fmt.Sprintf("CREATE DATABASE %s OWNER %s", name, role))
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, s.password), Host: s.address, Path: name}
	return u.String()
}

// Administer runs a statement as the server's administrator.
func (s *Server) Administer(t testing.TB, statement string) {
	t.Helper()
	if err := s.administer(statement); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) administer(statement string) error {
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	return s.run("psql", "-h", host, "-p", port, "-U", administrator, "-d", "postgres", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement)
}

// open makes a server's directory, and starts it.
func open(fsync bool) (s *Server, err error) {
	s = &Server{password: rand.Text(), fsync: fsync}
	if s.bin, err = findPrograms(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "greffier-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	secret := filepath.Join(s.dir, "password")
	if err := errors.Join(os.WriteFile(secret, []byte(s.password+"\n"), 0o600), testserver.WriteCertificate(s.CAFile(), s.keyFile()), own(s.dir), own(secret), own(s.keyFile())); err != nil {
		return nil, err
	}
	// The order of text is one of language on purpose: what the catalog lists must not depend on it.
	err = s.run("initdb", "-D", s.data(), "-U", administrator, "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8",
		"--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US", "--no-sync")
	if err != nil {
		return nil, err
	}
	for range startTries {
		if s.address, err = testserver.FreeAddress(); err != nil {
			return nil, err
		}
		if err = s.start(); err == nil {
			return s, s.administer(fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", role, s.password))
		}
	}
	return nil, err
}

// CAFile names the certificate of the server, for 127.0.0.1 and localhost, which is its own authority.
func (s *Server) CAFile() string { return filepath.Join(s.dir, "server.crt") }

func (s *Server) keyFile() string { return filepath.Join(s.dir, "server.key") }

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Start starts a server that was stopped, at the same address.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server at once, as when its machine fails. What it has committed stays for Start.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.end(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) start() error {
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	s.output = new(testserver.Output)
	on := map[bool]string{true: "on", false: "off"}[s.fsync]
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-c", "listen_addresses=127.0.0.1", "-c", "port="+port,
		"-c", "unix_socket_directories=", "-c", "fsync="+on, "-c", "full_page_writes="+on, "-c", "max_connections=200",
		"-c", "ssl=on", "-c", "ssl_cert_file="+s.CAFile(), "-c", "ssl_key_file="+s.keyFile())
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = s.dir, s.output, s.output, attributes(true)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	s.cmd, s.exited = cmd, make(chan struct{})
	go func(exited chan struct{}) {
		defer close(exited)
		_ = cmd.Wait()
	}(s.exited)
	if err := s.waitReady(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w; it said:\n%s", errors.Join(err, s.end(syscall.SIGQUIT)), s.output)
	}
	return nil
}

func (s *Server) waitReady() error {
	late := time.After(startTimeout)
	tick := time.NewTicker(readyPause)
	defer tick.Stop()
	for {
		if s.administer("SELECT 1") == nil {
			return nil
		}
		select {
		case <-s.exited:
			return errors.New("it ended at once")
		case <-late:
			return fmt.Errorf("not ready after %v", startTimeout)
		case <-tick.C:
		}
	}
}

func (s *Server) end(how syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	process := s.cmd.Process
	s.cmd = nil
	_ = process.Signal(how)
	select {
	case <-s.exited:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("PostgreSQL (process %d) does not end", process.Pid)
	}
}

func (s *Server) close() error { return errors.Join(s.end(syscall.SIGINT), os.RemoveAll(s.dir)) }

// run runs one of PostgreSQL's programs.
func (s *Server) run(program string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, attributes(false)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+s.password, "PGCONNECT_TIMEOUT=5")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", program, err, bytes.TrimSpace(out))
	}
	return nil
}
