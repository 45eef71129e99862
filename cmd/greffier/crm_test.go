package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
)

// askedAbout is a question about two parties.
var askedAbout = recorder.Question{Recording: "rec-1", Class: "trial", Parties: []recorder.QuestionParty{
	{ID: "customer", Number: "+33611223344", AOR: "sip:+33611223344@carrier.example"}, {ID: "adviser", AOR: "sip:bm@corp.example", Internal: true},
}}

// TestAdvice: what is asked and what is answered, over TLS with a token and an authority of its own.
func TestAdvice(t *testing.T) {
	var question string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		question = string(b)
		if r.Method != http.MethodPost || r.URL.Path != "/consent" || r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, `{"signals":[{"party":"customer","kind":"consented","proof":"CRM-42"},{"kind":"informed"}]}`+"\n")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that the test wants to fail
	t.Cleanup(server.Close)
	dir := t.TempDir()
	token, ca := filepath.Join(dir, "token"), filepath.Join(dir, "ca.pem")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := errors.Join(os.WriteFile(token, []byte("secret\n"), 0o600), os.WriteFile(ca, authority, 0o600)); err != nil {
		t.Fatal(err)
	}
	config := ConsentConfig{AskURL: server.URL + "/consent", AskTokenFile: token, AskCAFile: ca, AskDeadline: maxAskDeadline}
	s, err := config.customerSystem()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return at }
	got, err := s.Advise(t.Context(), askedAbout)
	want := []policy.Signal{
		{Party: "customer", Kind: policy.SignalConsented, Proof: "CRM-42", Source: policy.FromCRM, At: at}, {Kind: policy.SignalInformed, Source: policy.FromCRM, At: at},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the answer is %+v, %v; want %+v", got, err, want)
	}
	if want := `{"recording_id":"rec-1","class":"trial","parties":[{"id":"customer","number":"+33611223344","aor":"sip:+33611223344@carrier.example","internal":false},` +
		`{"id":"adviser","aor":"sip:bm@corp.example","internal":true}]}`; question != want {
		t.Errorf("asked was %s, want %s", question, want)
	}
	for name, change := range map[string]func(*ConsentConfig){
		"another token":     func(c *ConsentConfig) { c.AskTokenFile = "" },
		"another authority": func(c *ConsentConfig) { c.AskCAFile = "" },
	} {
		c := config
		change(&c)
		other, err := c.customerSystem()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(other.Close)
		if got, err := other.Advise(t.Context(), askedAbout); err == nil {
			t.Errorf("%s: answered %+v", name, got)
		}
	}
	if err := os.Chmod(token, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := config.customerSystem(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a token that others can read: %v", err)
	}
}

// TestBadAdvice: an answer that is not understood whole is none, and what is said of it names nobody and is asked for once.
func TestBadAdvice(t *testing.T) {
	one := `{"party":"customer","kind":"objected"}`
	for name, c := range map[string]struct{ answer, want string }{
		"no JSON":             {"<html>+33611223344</html>", "near byte"},
		"an unknown member":   {`{"signals":[],"+33611223344":1}`, "no other members"},
		"one in a signal":     {`{"signals":[{"party":"customer","kind":"objected","at":"now"}]}`, "no other members"},
		"a wrong type":        {`{"signals":[{"party":33611223344,"kind":"objected"}]}`, "not understood"},
		"no signals":          {`{}`, "has no signals"},
		"null":                {`null`, "has no signals"},
		"half":                {`{"signals":[` + one, "not understood"},
		"something after":     {`{"signals":[]} {"signals":[` + one + `]}`, "something follows"},
		"an unknown kind":     {`{"signals":[{"party":"customer","kind":"+33611223344"}]}`, "signal 1: its kind"},
		"a stranger":          {`{"signals":[` + one + `,{"party":"+33611223344","kind":"objected"}]}`, "signal 2: its party"},
		"consent of everbody": {`{"signals":[{"kind":"consented"}]}`, "nobody consents for everybody"},
		"a long proof":        {`{"signals":[{"party":"customer","kind":"objected","proof":"` + strings.Repeat("3", 1025) + `"}]}`, "proof is longer"},
		"too many":            {`{"signals":[` + strings.Repeat(one+",", 100) + one + `]}`, "more than 100"},
		"too long":            {`{"signals":[]}` + strings.Repeat(" ", maxAdvice), "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			s := customerAt(t, time.Second, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				io.WriteString(w, c.answer)
			})
			signals, err := s.Advise(t.Context(), askedAbout)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "33611223344") {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if len(signals) > 0 || asked.Load() != 1 {
				t.Errorf("%d signals, asked %d times", len(signals), asked.Load())
			}
		})
	}
}

// customerAt is a customer system in plain HTTP on this machine.
func customerAt(t *testing.T, deadline time.Duration, answers http.HandlerFunc) *customerSystem {
	t.Helper()
	server := httptest.NewServer(answers)
	t.Cleanup(server.Close)
	s, err := ConsentConfig{AskURL: server.URL, AskDeadline: deadline}.customerSystem()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestNoAdvice: a customer system that is late, breaks off, sends elsewhere or fails gives no answer, and is not asked again.
func TestNoAdvice(t *testing.T) {
	const deadline = 200 * time.Millisecond
	late := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then is it seen that the client has gone
		<-r.Context().Done()
	}
	for name, answers := range map[string]http.HandlerFunc{
		"late": late,
		"late in its body": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"signals":[]`)
			w.(http.Flusher).Flush()
			late(w, r)
		},
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		},
		"fails":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"breaks off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			s := customerAt(t, deadline, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				answers(w, r)
			})
			began := time.Now()
			signals, err := s.Advise(t.Context(), askedAbout)
			if err == nil || strings.Contains(err.Error(), "33611223344") {
				t.Errorf("%d signals, error %v", len(signals), err)
			}
			if took := time.Since(began); took > 10*deadline || asked.Load() != 1 {
				t.Errorf("asked %d times in %s", asked.Load(), took)
			}
			if strings.HasPrefix(name, "late") && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want one of the deadline", err)
			}
		})
	}
}

// TestConsentConfig: what may be asked, and that each mistake says what to do.
func TestConsentConfig(t *testing.T) {
	for _, c := range []struct{ url, deadline, more, want string }{
		{"http://127.0.0.1:1/consent", "10s", "", ""}, {"https://crm.example/consent?tenant=1", "1ms", "", ""},
		{"http://crm.example", "2s", "", "use https"}, {"crm.example", "2s", "", "write it as https://"}, {"https://me:pw@crm.example", "2s", "", "ask_token_file"},
		{"https://crm.example", "0s", "", "ask_deadline"}, {"https://crm.example", "11s", "", "10s at most"},
		{"", "2s", "ask_token_file: t", "need consent.ask_url"},
		{"https://crm.example", "2s", "ask_token_file: /none", "ask_token_file: /none is missing"}, {"https://crm.example", "2s", "ask_ca_file: /none", "ask_ca_file"},
	} {
		path := filepath.Join(t.TempDir(), "greffier.yaml")
		text := fmt.Sprintf("consent:\n  ask_url: %q\n  ask_deadline: %s\n  %s\n", c.url, c.deadline, c.more)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		code := run(t.Context(), []string{"config", "check", "-c", path}, &out, &out)
		if c.want == "" && code != exitOK || c.want != "" && (code == exitOK || !strings.Contains(out.String(), c.want)) {
			t.Errorf("%s: exit %d: %s, want %q", text, code, out.String(), c.want)
		}
	}
}

// TestCustomerSystemDecides: a call whose class wants consent is recorded from its beginning when the customer system knows of the
// consent, which stands in the sidecar with its proof; it leaves nothing when the system knows of an objection, or does not answer.
func TestCustomerSystemDecides(t *testing.T) {
	answer := func(signals string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var q struct{ Parties []struct{ ID string } }
			if err := json.NewDecoder(r.Body).Decode(&q); err != nil || len(q.Parties) != 2 {
				t.Errorf("asked about %+v: %v", q, err)
			}
			io.WriteString(w, `{"signals":[`+signals+`]}`)
		}
	}
	for name, c := range map[string]struct {
		answers http.HandlerFunc
		why     string // absent: it is recorded
	}{
		"all consent": {answer(`{"party":"customer","kind":"consented","proof":"CRM-42"},{"party":"adviser","kind":"consented","proof":"CRM-43"}`), ""},
		"one objects": {answer(`{"party":"customer","kind":"objected"},{"party":"adviser","kind":"consented","proof":"CRM-43"}`), "objected"},
		"no answer":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "no_consent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				c.answers(w, r)
			}))
			t.Cleanup(server.Close)
			s := start(t, t.TempDir(), trial(t, "consent: {mode: opt_in_all, unknown: hold, within: PT3S}"), "--consent-ask-url="+server.URL)
			s.talk(conversation(trialPhase), 2*trialPhase)
			row := s.ended(1)[0]
			if asked.Load() != 1 {
				t.Errorf("asked %d times, want once", asked.Load())
			}
			if c.why != "" {
				if row.State != "not_recorded" || row.why() != c.why {
					t.Errorf("the call is %s by %s, want %s", row.State, row.why(), c.why)
				}
				s.leavesNothing(row.ID)
			} else {
				s.hears(row.ID, "++")
				side := sidecarIn(t, s, row.ID)
				if len(side.Consent) != 2 || side.Consent[0].Source != policy.FromCRM || side.Consent[0].Proof != "CRM-42" {
					t.Errorf("what was said about being recorded: %+v", side.Consent)
				}
			}
			verifyGood(t, s.Config.DataDir)
		})
	}
}

// FuzzAdvice: whatever a customer system answers, what is taken is about those who were asked about, and can be taken as it is.
func FuzzAdvice(f *testing.F) {
	for _, seed := range []string{
		`{"signals":[{"party":"customer","kind":"consented","proof":"CRM-42"}]}`, `{"signals":[]}`, `{"signals":null}`, `[]`, `{"signals":[{"kind":"objected"}]}x`,
	} {
		f.Add([]byte(seed))
	}
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, b []byte) {
		signals, err := readAdvice(b, askedAbout.Parties, at)
		if err != nil && len(signals) > 0 || len(signals) > maxAdviceCount {
			t.Fatalf("%d signals, %v", len(signals), err)
		}
		for _, s := range signals {
			if err := s.Check(); err != nil || s.Source != policy.FromCRM || s.Party != "" && s.Party != "customer" && s.Party != "adviser" {
				t.Fatalf("%+v is taken: %v", s, err)
			}
		}
	})
}
