package storage_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// holes makes a good service one with holes: it stands between, and where the service denies what it should, says that it was done, and
// from then on answers as if it had been.
type holes struct {
	open  map[string]bool
	proxy *httputil.ReverseProxy

	mu    sync.Mutex
	gone  map[string]bool   // versions
	locks map[string]string // what was set for a version: "MODE DATE"
}

func newHoles(t *testing.T, m *storagetest.MinIO, open ...string) string {
	t.Helper()
	target, err := url.Parse(m.Config.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	h := &holes{open: map[string]bool{}, gone: map[string]bool{}, locks: map[string]string{}}
	for _, o := range open {
		h.open[o] = true
	}
	h.proxy = &httputil.ReverseProxy{Transport: rawTransport(t, m.Config.CAFile).Transport, ModifyResponse: h.answer, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// sentBody is where ServeHTTP leaves what was sent, for answer.
const sentBody = "X-Test-Sent"

func (h *holes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("retention") || r.URL.Query().Has("delete") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.Header.Set(sentBody, strings.ReplaceAll(string(body), "\n", ""))
	}
	h.proxy.ServeHTTP(w, r)
}

var (
	modeSent = regexp.MustCompile(`<Mode>(.*)</Mode>`)
	dateSent = regexp.MustCompile(`<RetainUntilDate>(.*)</RetainUntilDate>`)
)

func (h *holes) answer(r *http.Response) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	q, in := r.Request.URL.Query(), r.Request
	version, denied := q.Get("versionId"), r.StatusCode >= 400
	switch {
	case in.Method == http.MethodHead && h.gone[version]:
		return replace(r, http.StatusNotFound, "")
	case in.Method == http.MethodHead && h.locks[version] != "":
		mode, date, _ := strings.Cut(h.locks[version], " ")
		r.Header.Set("X-Amz-Object-Lock-Mode", mode)
		r.Header.Set("X-Amz-Object-Lock-Retain-Until-Date", date)
	case in.Method == http.MethodDelete && denied && h.open[deletion(in)]:
		h.gone[version] = true
		return replace(r, http.StatusNoContent, "")
	case in.Method == http.MethodDelete && denied && h.open["lies"]:
		return replace(r, http.StatusNoContent, "")
	case q.Has("retention") && denied:
		sent := in.Header.Get(sentBody)
		mode, date := modeSent.FindStringSubmatch(sent)[1], dateSent.FindStringSubmatch(sent)[1]
		if mode == "COMPLIANCE" && h.open["shorten"] || mode == "GOVERNANCE" && h.open[map[bool]string{true: "weaken", false: "shorten governance"}[strings.Contains(in.URL.Path, "/day/")]] {
			h.locks[version] = mode + " " + date
			return replace(r, http.StatusOK, "")
		}
	case q.Has("delete") && h.open["batch"]:
		return h.batch(r)
	case q.Has("uploads") && r.StatusCode == http.StatusPreconditionFailed && h.open["once parts"]:
		return replace(r, http.StatusOK, "<InitiateMultipartUploadResult><UploadId>none</UploadId></InitiateMultipartUploadResult>")
	case q.Get("uploadId") == "none" && in.Method == http.MethodPost:
		return replace(r, http.StatusOK, `<CompleteMultipartUploadResult><Bucket>b</Bucket><ETag>"0"</ETag></CompleteMultipartUploadResult>`)
	case q.Get("uploadId") == "none":
		return replace(r, http.StatusOK, "")
	case in.Method == http.MethodPut && r.StatusCode == http.StatusPreconditionFailed && h.open["once"]:
		return replace(r, http.StatusOK, "")
	case q.Has("lifecycle") && h.open["no lifecycle"]:
		return replace(r, http.StatusNotImplemented, "<Error><Code>NotImplemented</Code></Error>")
	}
	return nil
}

// deletion names what is got around.
func deletion(r *http.Request) string {
	bypass := r.Header.Get("X-Amz-Bypass-Governance-Retention") != ""
	switch {
	case strings.HasSuffix(r.URL.Path, "/hold"):
		return "hold"
	case strings.HasSuffix(r.URL.Path, "/governance") && bypass:
		return "bypass governance"
	case strings.HasSuffix(r.URL.Path, "/governance"):
		return "delete governance"
	case bypass:
		return "bypass compliance"
	}
	return "delete compliance"
}

// batch says of every version that it was deleted.
func (h *holes) batch(r *http.Response) error {
	var sent struct {
		Object []struct{ Key, VersionId string }
	}
	if err := xml.Unmarshal([]byte(r.Request.Header.Get(sentBody)), &sent); err != nil {
		return err
	}
	var b strings.Builder
	for _, o := range sent.Object {
		h.gone[o.VersionId] = true
		b.WriteString("<Deleted><Key>" + o.Key + "</Key><VersionId>" + o.VersionId + "</VersionId></Deleted>")
	}
	return replace(r, http.StatusOK, "<DeleteResult>"+b.String()+"</DeleteResult>")
}

func replace(r *http.Response, status int, body string) error {
	err := r.Body.Close()
	r.StatusCode, r.Status = status, http.StatusText(status)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	r.Header.Del("Content-Length")
	r.Header.Del("X-Minio-Error-Code")
	return err
}

// testProbeFindsHoles opens one hole at a time, and those that versitygw had at commit 5d9d548.
func testProbeFindsHoles(t *testing.T, m *storagetest.MinIO) {
	type hole struct {
		open  []string
		level storage.Level
		want  map[string]string
		rep   storage.Report
		err   error
	}
	all := map[string]*hole{
		"none":              {level: storage.WormVerified, want: map[string]string{}},
		"delete compliance": {open: []string{"delete compliance"}, level: storage.WormPartial, want: map[string]string{"compliance-delete": "allowed"}},
		"bypass compliance": {open: []string{"bypass compliance"}, level: storage.WormPartial, want: map[string]string{"compliance-delete-bypass": "allowed"}},
		"shorten":           {open: []string{"shorten"}, level: storage.WormPartial, want: map[string]string{"compliance-shorten": "allowed"}},
		"weaken":            {open: []string{"weaken"}, level: storage.WormPartial, want: map[string]string{"compliance-to-governance": "allowed"}},
		"delete governance": {open: []string{"delete governance"}, level: storage.WormPartial, want: map[string]string{
			"governance-delete": "allowed", "governance-shorten": "not checked", "writer-bypass": "not checked"}},
		"shorten governance": {open: []string{"shorten governance"}, level: storage.WormPartial, want: map[string]string{"governance-shorten": "allowed"}},
		"bypass governance":  {open: []string{"bypass governance"}, level: storage.WormPartial, want: map[string]string{"writer-bypass": "allowed"}},
		"hold":               {open: []string{"hold"}, level: storage.WormPartial, want: map[string]string{"legal-hold": "allowed"}},
		"batch":              {open: []string{"batch"}, level: storage.WormPartial, want: map[string]string{"batch-delete": "both deleted"}},
		"once":               {open: []string{"once"}, level: storage.WormVerified, want: map[string]string{"if-none-match": "allowed"}},
		"once parts":         {open: []string{"once parts"}, level: storage.WormVerified, want: map[string]string{"if-none-match-multipart": "allowed"}},
		"no lifecycle":       {open: []string{"no lifecycle"}, level: storage.NoLifecycle, want: map[string]string{"lifecycle": "not readable"}},
		"lies": {open: []string{"lies"}, level: storage.WormPartial, want: map[string]string{
			"compliance-delete": "ignored", "compliance-delete-bypass": "ignored", "governance-delete": "ignored", "writer-bypass": "ignored", "legal-hold": "ignored"}},
		"versitygw 5d9d548": {open: []string{"shorten", "shorten governance", "batch", "once", "no lifecycle"}, level: storage.WormPartial, want: map[string]string{
			"compliance-shorten": "allowed", "governance-shorten": "allowed", "batch-delete": "both deleted", "if-none-match": "allowed", "lifecycle": "not readable"}},
	}
	// Most of a probe is waiting for a lock to end: all wait at the same time.
	var wg sync.WaitGroup
	for _, h := range all {
		cfg := limited(t, m, m.NewBucket(t).Bucket(), rolePolicy(t, "writer"))
		cfg.Endpoint, cfg.CAFile = newHoles(t, m, h.open...), ""
		s := newStore(t, cfg)
		wg.Go(func() { h.rep, h.err = s.Probe(t.Context(), storage.ProbeOptions{}) })
	}
	wg.Wait()
	for name, h := range all {
		t.Run(name, func(t *testing.T) {
			if h.err != nil {
				t.Fatal(h.err)
			}
			if h.rep.Level != h.level {
				t.Errorf("level %s, want %s", h.rep.Level, h.level)
			}
			wantFailed(t, h.rep, h.want)
		})
	}
}
