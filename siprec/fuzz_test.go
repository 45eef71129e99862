package siprec_test

import (
	"errors"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

// seeds gives the bodies of testdata with their content types.
func seeds(f *testing.F, add func(contentType string, b []byte)) {
	f.Helper()
	for name, contentType := range boundaries {
		b := readFile(f, filepath.Join(testdata, name))
		add(contentType, b)
	}
}

// onlyMalformed fails on errors of another kind.
func onlyMalformed(t *testing.T, err error) {
	t.Helper()
	var refusal *siprec.Refusal
	if !errors.As(err, &refusal) || refusal.Kind != siprec.Malformed || refusal.Reason == "" {
		t.Errorf("not a malformed refusal: %v", err)
	}
}

func FuzzParseBody(f *testing.F) {
	seeds(f, func(contentType string, b []byte) { f.Add(contentType, b) })
	f.Fuzz(func(t *testing.T, contentType string, b []byte) {
		body, err := siprec.ParseBody(contentType, b)
		if err != nil {
			onlyMalformed(t, err)
			return
		}
		size := len(body.SDP) + len(body.Metadata)
		for _, p := range body.Other {
			size += len(p.Content)
		}
		if size > len(b) {
			t.Errorf("%d bytes came out of %d", size, len(b))
		}
		if len(body.Other) > siprec.MaxParts {
			t.Errorf("%d parts", len(body.Other))
		}
	})
}

func FuzzParseOffer(f *testing.F) {
	seeds(f, func(contentType string, b []byte) {
		if body, err := siprec.ParseBody(contentType, b); err == nil && body.SDP != nil {
			f.Add(body.SDP)
		}
	})
	f.Add([]byte(offered))
	f.Add([]byte(securedOffer))
	f.Fuzz(func(t *testing.T, b []byte) {
		offer, err := siprec.ParseOffer(b)
		if err != nil {
			onlyMalformed(t, err)
			return
		}
		noSecrets(t, offer)
		answer := siprec.Answer{Addr: netip.IPv6Loopback()}
		for i, m := range offer.Media {
			a := siprec.AnswerMedia{Direction: siprec.RecvOnly, Formats: m.Formats, RTCPMux: i%2 == 0}
			if len(m.Formats) > 0 && m.Security() != siprec.Refused {
				a.Port = 20000 + 2*i
				secure(&a, m)
			}
			answer.Media = append(answer.Media, a)
		}
		text, err := answer.Marshal(offer, siprec.Origin{SessionID: 1, Version: 1})
		if err != nil {
			t.Fatalf("an offer that was read cannot be answered: %v", err)
		}
		again, err := siprec.ParseOffer(text)
		if err != nil {
			t.Fatalf("our answer cannot be read: %v\n%s", err, text)
		}
		if len(again.Media) != len(offer.Media) {
			t.Fatalf("%d m-lines answered with %d", len(offer.Media), len(again.Media))
		}
		for i, m := range again.Media {
			if m.Label != offer.Media[i].Label || m.Type != offer.Media[i].Type || m.Protocol != offer.Media[i].Protocol {
				t.Errorf("m-line %d is answered as another: %+v", i, m)
			}
			if m.Port == 0 {
				continue
			}
			if m.Security() != offer.Media[i].Security() {
				t.Errorf("m-line %d: %s is answered as %s", i, offer.Media[i].Security(), m.Security())
			}
			for j, f := range m.Formats {
				// A format without clock rate has no rtpmap that could be written.
				if offered := offer.Media[i].Formats[j]; offered.ClockRate > 0 && f != offered {
					t.Errorf("m-line %d: format %+v is answered as %+v", i, offered, f)
				}
			}
		}
	})
}

func FuzzParseMetadata(f *testing.F) {
	seeds(f, func(contentType string, b []byte) {
		if body, err := siprec.ParseBody(contentType, b); err == nil && body.Metadata != nil {
			f.Add([]byte(twoParties), body.Metadata)
			f.Add(body.Metadata, []byte(xmlDocument("partial", session("cs", stop), sends("p", "s"))))
		}
	})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var m siprec.Metadata
		for i, b := range [][]byte{first, second} {
			checkAgainstOther(t, b)
			d, err := siprec.ParseMetadata(b)
			if err != nil {
				onlyMalformed(t, err)
				continue
			}
			m.Apply(d, at(10*i))
			once := m
			m.Apply(d, at(10*i+5))
			if diff := cmp.Diff(once, m); diff != "" {
				t.Errorf("the same document again changes something:\n%s", diff)
			}
			checkState(t, &m)
		}
	})
}

// checkState checks what must be true of every state.
func checkState(t *testing.T, m *siprec.Metadata) {
	t.Helper()
	for i, p := range m.Presences {
		if p.From.IsZero() || !p.To.IsZero() && p.To.Before(p.From) {
			t.Errorf("presence %+v ends before it begins", p)
		}
		if i > 0 && p.From.Before(m.Presences[i-1].From) {
			t.Errorf("presence %+v is out of order", p)
		}
		if p.Label == "" {
			t.Errorf("presence %+v has no label", p)
		}
	}
	present := m.Present()
	if len(present) != len(m.Members) {
		t.Errorf("%d members, %d present", len(m.Members), len(present))
	}
	for _, s := range m.Streams {
		for _, p := range m.Senders(s.Label) {
			here := false
			for _, q := range present {
				here = here || q.ID == p.ID
			}
			if !here {
				t.Errorf("%s sends %s and is not here", p.ID, s.Label)
			}
		}
	}
	m.CallKey("")
	m.CallIDs()
}
