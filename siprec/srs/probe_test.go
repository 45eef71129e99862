package srs_test

import (
	"errors"
	"testing"

	"github.com/greffier/greffier/siprec/srs"
)

// TestProbe: any answer but 481 and 408 is a sign of life (RFC 3261 section 12.2.1.2).
func TestProbe(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := hurried(t, rec)
		c := r.dial(network).caller()
		c.open(multipartType, both("sendonly"))
		probe := func() <-chan error {
			done := make(chan error, 1)
			go func() { done <- r.server.Probe(t.Context(), c.dialog()) }()
			return done
		}
		for status, want := range map[string]error{
			"200 OK": nil, "503 Busy": nil, "401 Who": nil, "500 No": nil, "481 Gone": srs.ErrGone, "408 Timeout": srs.ErrGone,
		} {
			done := probe()
			m := c.request("OPTIONS")
			if m.body != "" || m.header.Get("Accept") == "" || m.header.Get("Contact") == "" {
				t.Errorf("OPTIONS %v", m.header)
			}
			c.reply(m, status)
			if err := take(t, "result", done); !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%s: %v, want %v", status, err, want)
			}
		}
		done := probe()
		c.request("OPTIONS")
		if err := take(t, "result", done); !errors.Is(err, srs.ErrSilent) {
			t.Errorf("silence: %v", err)
		}
		if len(rec.ends) != 0 {
			t.Error("a probe ended the session")
		}
		c.bye()
		take(t, "End", rec.ends)
		if err := r.server.Probe(t.Context(), c.dialog()); !errors.Is(err, srs.ErrNoDialog) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// TestProbeWithoutOptions: a client that does not know OPTIONS gets a request that it must know.
func TestProbeWithoutOptions(t *testing.T) {
	for name, x := range map[string]struct {
		source srs.Source
		allow  []string
		method string
	}{
		"by re-INVITE": {srs.Source{}, nil, "INVITE"},
		"by UPDATE":    {srs.Source{}, []string{"Allow: INVITE, UPDATE"}, "UPDATE"},
		"not at all":   {srs.Source{NoReinvite: true}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := newFake(t)
			r := hurried(t, rec, only(x.source))
			c := r.dial("udp").caller()
			ok := c.open(multipartType, both("sendonly"), x.allow...)
			for _, gone := range []bool{false, true} {
				done := make(chan error, 1)
				go func() { done <- r.server.Probe(t.Context(), c.dialog()) }()
				c.reply(c.request("OPTIONS"), "501 Not Implemented")
				if x.method != "" {
					m := c.request(x.method)
					if x.method == "INVITE" && m.body != ok.body {
						t.Errorf("description %q, was %q", m.body, ok.body)
					}
					switch {
					case gone:
						c.reply(m, "481 Gone")
					case x.method == "INVITE":
						c.accept(m, "sendonly")
					default:
						c.reply(m, "500 No")
					}
				}
				if err := take(t, "result", done); errors.Is(err, srs.ErrGone) != (gone && x.method != "") || !gone && err != nil {
					t.Errorf("gone %v: %v", gone, err)
				}
			}
			c.bye()
			if len(rec.updates) != 0 {
				t.Error("an answer without news was handed on")
			}
		})
	}
}
