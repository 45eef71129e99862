package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/media/wav"
	"github.com/greffier/greffier/siprec/siprectest"
)

// A pki is a directory of certificates that openssl has made: NAME.pem and NAME.key, all of the authority ca.
type pki struct {
	t   *testing.T
	dir string
}

func newPKI(t *testing.T) pki {
	t.Helper()
	p := pki{t, t.TempDir()}
	p.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem")
	return p
}

func (p pki) openssl(args ...string) {
	p.t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// issue makes a certificate with a subjectAltName as openssl writes it.
func (p pki) issue(name, alt string) {
	p.t.Helper()
	p.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/O=test", "-addext", "subjectAltName="+alt,
		"-keyout", name+".key", "-out", name+".csr")
	p.openssl("x509", "-req", "-in", name+".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-copy_extensions", "copy", "-out", name+".pem")
}

func (p pki) path(name string) string { return filepath.Join(p.dir, name) }

// client is what an SRC with the certificate needs; "" for none.
func (p pki) client(name string) *tls.Config {
	p.t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM([]byte(readFile(p.t, p.path("ca.pem")))) {
		p.t.Fatal("openssl's authority cannot be read")
	}
	if name != "" {
		cert, err := tls.LoadX509KeyPair(p.path(name+".pem"), p.path(name+".key"))
		if err != nil {
			p.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c
}

// startTLS is a server with TLS listeners on IPv4 and IPv6, which knows its SRC by sbc1.example.com only.
func startTLS(t *testing.T, p pki, dir string) *running {
	t.Helper()
	config := fmt.Sprintf("sip:\n  tls_cert: %s\n  tls_key: %s\n  tls_client_ca: %s\n  sources: [{name: sbc, tls_names: [sbc1.example.com]}]\n",
		p.path("server.pem"), p.path("server.key"), p.path("ca.pem"))
	if err := os.WriteFile(filepath.Join(dir, configName), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, dir, recordAll, "--sip-listen=tls://127.0.0.1:0,tls://[::1]:0")
}

// TestTLSCalls records calls over mutual TLS, on IPv4 and IPv6, from a client and from the command; who has another certificate
// gets 403, which is witnessed.
func TestTLSCalls(t *testing.T) {
	p := newPKI(t)
	p.issue("server", "IP:127.0.0.1,IP:::1")
	p.issue("sbc", "URI:sip:sbc1.example.com")
	p.issue("other", "DNS:sbc2.example.com")
	dir := t.TempDir()
	s := startTLS(t, p, dir)
	var servers []string
	for _, a := range s.SIPAddrs {
		if rest, ok := strings.CutPrefix(a, "tls://"); ok {
			servers = append(servers, rest)
		}
	}
	if len(servers) != 2 || !netip.MustParseAddrPort(servers[1]).Addr().Is6() {
		t.Fatalf("listeners %v", s.SIPAddrs)
	}
	done := map[string]bool{}
	for i, server := range servers {
		src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: server, Transport: "tls", TLS: p.client("sbc")})
		if err != nil {
			t.Fatal(err)
		}
		truth := converse(t, src, bursts(), 4*time.Second)
		for _, r := range settle(t, dir, i+1, 20*time.Second) {
			if !done[r.ID] {
				done[r.ID] = true
				judge(t, dir, r, truth, siprectest.DefaultLimits)
			}
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"other", ""} {
		src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: servers[0], Transport: "tls", TLS: p.client(name)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := src.Invite(t.Context(), bursts()); siprectest.Status(err) != 403 {
			t.Errorf("certificate %q: %v, want 403", name, err)
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "refusals witnessed", 5*time.Second, func() bool { return len(refusals(t, s)) == 2 })
	for _, r := range refusals(t, s) {
		if !strings.Contains(r, "names no configured source") && !strings.Contains(r, "certificate is needed") {
			t.Errorf("refused because %q", r)
		}
	}

	left := filepath.Join(t.TempDir(), "left.wav")
	data := siprectest.EncodePCMU(nil, make([]int16, 8000))
	file := append(wav.Header(wav.Format{Tag: wav.MuLaw, SampleRate: 8000, Channels: 1, BitsPerSample: 8}, int64(len(data))), data...)
	if err := os.WriteFile(left, file, 0o600); err != nil {
		t.Fatal(err)
	}
	fork := []string{"fork", "--to", "tls://" + servers[1], "--left", left, "--right", left, "--tls-ca", p.path("ca.pem")}
	if out, code := cliRun(t, append(fork, "--tls-cert", p.path("sbc.pem"), "--tls-key", p.path("sbc.key"))...); code != exitOK {
		t.Errorf("fork: exit %d: %s", code, out)
	}
	if out, code := cliRun(t, fork...); code == exitOK {
		t.Errorf("fork without a certificate: %s", out)
	}
	settle(t, dir, 3, 20*time.Second)
	verifyGood(t, dir)
}

// refusals are the reasons of the refusals of INVITEs in the audit log.
func refusals(t *testing.T, s *running) (reasons []string) {
	t.Helper()
	for e, err := range audit.Read(s.parts.archive.AuditDir) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != "session.refused" {
			continue
		}
		var d struct {
			Method, Reason string
			Status         int
		}
		if err := json.Unmarshal(e.Data, &d); err != nil || d.Status != 403 {
			t.Errorf("event %s: %v", e.Data, err)
		}
		if d.Method == "INVITE" {
			reasons = append(reasons, d.Reason)
		}
	}
	return reasons
}

// TestTLSHangup renews the certificate under a call at SIGHUP: new clients see the new one, and the call goes on.
func TestTLSHangup(t *testing.T) {
	p := newPKI(t)
	p.issue("server", "IP:127.0.0.1")
	p.issue("sbc", "DNS:sbc1.example.com")
	dir := t.TempDir()
	s := startTLS(t, p, dir)
	src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: s.address("tls"), Transport: "tls", TLS: p.client("sbc")})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	call, err := src.Invite(t.Context(), bursts())
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		c, err := tls.Dial("tcp", s.address("tls"), p.client("sbc"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	p.issue("server", "IP:127.0.0.1")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "new certificate", 5*time.Second, func() bool { return serial() != before })
	if err := call.Play(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	settle(t, dir, 1, 20*time.Second)
	verifyGood(t, dir)
}

// TestTLSConfigMistakes: `config check` reads the files.
func TestTLSConfigMistakes(t *testing.T) {
	p := newPKI(t)
	p.issue("server", "IP:127.0.0.1")
	p.issue("stray", "IP:127.0.0.1")
	cases := map[string]struct{ sip, want string }{
		"good":           {"tls_cert: server.pem, tls_key: server.key, tls_client_ca: ca.pem, sources: [{name: a, tls_names: [a.example.com]}]", "configuration is good"},
		"no certificate": {"", "set sip.tls_cert and sip.tls_key"},
		"no key":         {"tls_cert: server.pem", "one needs the other"},
		"no such file":   {"tls_cert: nowhere.pem, tls_key: server.key", "no such file"},
		"mismatch":       {"tls_cert: server.pem, tls_key: stray.key", "private key does not match"},
		"no authority":   {"tls_cert: server.pem, tls_key: server.key, tls_client_ca: server.csr", "put certificates only"},
		"names alone":    {"tls_cert: server.pem, tls_key: server.key, sources: [{name: a, tls_names: [a.example.com]}]", "set tls_client_ca"},
		"neither":        {"tls_cert: server.pem, tls_key: server.key, sources: [{name: a}]", "or tls_names"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, f := range []string{"server.pem", "server.key", "stray.key", "ca.pem", "server.csr", "nowhere.pem"} {
				c.sip = strings.ReplaceAll(c.sip, ": "+f, ": "+p.path(f))
			}
			path := filepath.Join(t.TempDir(), "greffier.yaml")
			if err := os.WriteFile(path, []byte("sip: {listen: ['tls://127.0.0.1:0'], "+c.sip+"}"), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errOut strings.Builder
			run(t.Context(), []string{"config", "check", "--config", path}, &out, &errOut)
			if !strings.Contains(out.String()+errOut.String(), c.want) {
				t.Errorf("%s%s, want %q", out.String(), errOut.String(), c.want)
			}
		})
	}
}
