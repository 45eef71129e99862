package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/greffier/greffier/siprec/siprectest"
	"github.com/greffier/greffier/storage/storagetest"
)

// A middleman stands between the server and its store, and does harm while it is told to.
type middleman struct {
	endpoint, caFile string
	harm, heal       func()
}

func hostOf(m *storagetest.MinIO) string { return strings.TrimPrefix(m.Config.Endpoint, "https://") }

// onTheWire is one that harms connections.
func onTheWire(t *testing.T, m *storagetest.MinIO, toxics ...string) middleman {
	t.Helper()
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "store", "127.0.0.1:0", hostOf(m))
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	listen := p.Listen
	out := middleman{endpoint: listen, caFile: m.Config.CAFile}
	if len(toxics) == 0 { // it is away
		out.harm = p.Stop
		out.heal = func() {
			p.Listen = listen
			if err := p.Start(); err != nil {
				t.Error(err)
			}
		}
		return out
	}
	out.harm = func() {
		for _, toxic := range toxics {
			if _, err := p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
				t.Error(err)
			}
		}
	}
	out.heal = func() { p.Toxics.ResetToxics(context.Background()) }
	return out
}

// onRequests is one that harms requests: those that spoil answers itself never come to the store.
func onRequests(t *testing.T, m *storagetest.MinIO, spoil func(w http.ResponseWriter, r *http.Request) bool) middleman {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(readFile(t, m.Config.CAFile)))
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { // Host stays: it is signed
			r.SetURL(&url.URL{Scheme: "https", Host: hostOf(m)})
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}
	var harms atomic.Bool
	front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if harms.Load() && spoil(w, r) {
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return middleman{front.Listener.Addr().String(), ca, func() { harms.Store(true) }, func() { harms.Store(false) }}
}

// answers is an S3 error to everything.
func answers(status int, code string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>not now</Message></Error>", code)
		return true
	}
}

// liesAbout says that a PUT was done, and does not do it.
func liesAbout(what func(r *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !what(r) {
			return false
		}
		io.Copy(io.Discard, r.Body)
		w.Header().Set("ETag", `"9b2cf535f27731c974343645a3985328"`)
		w.Header().Set("x-amz-version-id", "5a1f6f2c-0d0d-4a43-9a3c-0b8a7f0f9d11")
		return true
	}
}

// TestStoreIsAway: whatever befalls the store while calls come, every call is answered and recorded, nothing is lost, the backlog and how
// long it waits can be seen, and when the store is well again it is drained by itself. A store that says that it has done what it has not
// is not believed.
func TestStoreIsAway(t *testing.T) {
	m := storagetest.StartMinIO(t)
	asWriter(t, m)
	isLock := func(r *http.Request) bool { return r.URL.Query().Has("retention") }
	for name, between := range map[string]func(t *testing.T) middleman{
		"away": func(t *testing.T) middleman { return onTheWire(t, m) },
		"slow": func(t *testing.T) middleman {
			return onTheWire(t, m, `{"type":"latency","stream":"downstream","attributes":{"latency":700,"jitter":300}}`, `{"type":"bandwidth","stream":"upstream","attributes":{"rate":16}}`)
		},
		"cuts uploads": func(t *testing.T) middleman {
			return onTheWire(t, m, `{"type":"limit_data","stream":"upstream","attributes":{"bytes":6000}}`)
		},
		"resets": func(t *testing.T) middleman {
			return onTheWire(t, m, `{"type":"reset_peer","stream":"downstream","attributes":{"timeout":30}}`)
		},
		"hangs": func(t *testing.T) middleman {
			return onTheWire(t, m, `{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`)
		},
		"overloaded": func(t *testing.T) middleman { return onRequests(t, m, answers(503, "SlowDown")) },
		"fails":      func(t *testing.T) middleman { return onRequests(t, m, answers(500, "InternalError")) },
		"denies":     func(t *testing.T) middleman { return onRequests(t, m, answers(403, "AccessDenied")) },
		"lies about the objects": func(t *testing.T) middleman {
			return onRequests(t, m, liesAbout(func(r *http.Request) bool { return !isLock(r) }))
		},
		"lies about the lock": func(t *testing.T) middleman { return onRequests(t, m, liesAbout(isLock)) },
		"lies about both of them": func(t *testing.T) middleman {
			return onRequests(t, m, liesAbout(func(*http.Request) bool { return true }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const calls = 3
			away := between(t)
			config := filepath.Join(t.TempDir(), "greffier.yaml")
			text := fmt.Sprintf("store: {type: s3, s3: {endpoint: %q, bucket: %s, ca_file: %s}}\n", away.endpoint, m.NewBucket(t).Bucket(), away.caFile)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			s := startConfigured(t, io.Discard, config, dir, recordAll, "--log-level=error")
			away.harm()
			src := s.src("udp")
			var truths []siprectest.Truth
			for range calls {
				truths = append(truths, converse(t, src, bursts(), 1500*time.Millisecond))
			}
			if name != "slow" {
				eventually(t, "the backlog is seen", 20*time.Second, func() bool { return s.metric("greffier_spool_recordings") == calls })
			}
			if name == "away" {
				eventually(t, "it is seen how long the backlog waits", 20*time.Second, func() bool {
					return s.metric("greffier_store_away") == 1 && s.metric("greffier_spool_oldest_seconds") > 1
				})
			}
			if rows := list(t, dir, "--config", config, "--state", "locked"); len(rows) > 0 && name != "slow" {
				t.Errorf("%d recordings are said to be locked", len(rows))
			}
			away.heal()
			var rows []listedRecording
			eventually(t, "the backlog is drained", 90*time.Second, func() bool {
				rows = list(t, dir, "--config", config, "--state", "locked")
				return len(rows) == calls
			})
			for i, row := range inOrder(rows) {
				if lost := truths[i].Length - time.Duration(row.DurationMS)*time.Millisecond; lost > 20*time.Millisecond {
					t.Errorf("%s lasts %d ms, and the call lasted %s", row.ID, row.DurationMS, truths[i].Length)
				}
			}
			if out, code := cliRun(t, "verify", "--data-dir", dir, "--config", config); code != exitOK {
				t.Errorf("verify: exit %d: %s", code, out)
			}
		})
	}
}

// metric is the value of a metric without labels.
func (r *running) metric(name string) (value float64) {
	r.t.Helper()
	res, err := http.Get(r.url() + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if _, err := fmt.Sscanf(line, name+" %g", &value); err == nil {
			return value
		}
	}
	r.t.Fatalf("there is no metric %s (%s)", name, res.Status)
	return 0
}
