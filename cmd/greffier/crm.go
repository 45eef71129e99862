package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
)

// Bounds of a question to a customer system.
const (
	maxAskDeadline  = 10 * time.Second
	maxAdvice       = 64 << 10 // bytes of an answer, and of its header
	maxAdviceCount  = 100      // signals of an answer
	maxAdviceProof  = 1024     // bytes of a proof's reference
	adviceIdle      = time.Minute
	adviceIdleConns = 4
)

// A customerSystem knows what parties have said about being recorded. It implements recorder.Adviser over HTTP.
type customerSystem struct {
	url, token string
	deadline   time.Duration
	client     *http.Client
	now        func() time.Time
}

// check finds what is wrong with the settings, as far as that shows without the files they name.
func (c ConsentConfig) check() error {
	if c.AskURL == "" {
		if c.AskTokenFile != "" || c.AskCAFile != "" {
			return errors.New("consent.ask_token_file and consent.ask_ca_file: they need consent.ask_url")
		}
		return nil
	}
	if err := mayCarryToken(c.AskURL); err != nil {
		return fmt.Errorf("consent.ask_url: %w", err)
	}
	if u, err := url.Parse(c.AskURL); err != nil || u.User != nil || u.Fragment != "" {
		return errors.New("consent.ask_url: has a user, a password or a fragment; put what proves us into consent.ask_token_file")
	}
	if c.AskDeadline <= 0 || c.AskDeadline > maxAskDeadline {
		return fmt.Errorf("consent.ask_deadline: %s; write more than nothing, and %s at most", c.AskDeadline, maxAskDeadline)
	}
	return nil
}

// customerSystem is the one that is configured; nil when none is. Nothing is sent yet.
func (c ConsentConfig) customerSystem() (*customerSystem, error) {
	if c.AskURL == "" {
		return nil, nil
	}
	s := &customerSystem{url: c.AskURL, deadline: c.AskDeadline, now: time.Now}
	if c.AskTokenFile != "" {
		var err error
		if s.token, err = secret(c.AskTokenFile, false); err != nil {
			return nil, fmt.Errorf("consent.ask_token_file: %w", err)
		}
	}
	transport, err := trusting(c.AskCAFile)
	if err != nil {
		return nil, fmt.Errorf("consent.ask_ca_file: %w", err)
	}
	transport.MaxResponseHeaderBytes, transport.IdleConnTimeout, transport.MaxIdleConnsPerHost = maxAdvice, adviceIdle, adviceIdleConns
	s.client = &http.Client{Transport: transport, CheckRedirect: stay}
	return s, nil
}

// Close ends the connections that are kept for the next question.
func (s *customerSystem) Close() { s.client.CloseIdleConnections() }

// An asked is what a customer system is asked.
type asked struct {
	Recording string       `json:"recording_id"`
	Class     string       `json:"class"`
	Parties   []askedParty `json:"parties"`
}

type askedParty struct {
	ID       string `json:"id"`
	Number   string `json:"number,omitempty"`
	AOR      string `json:"aor,omitempty"`
	Internal bool   `json:"internal"`
}

// Advise asks once, and within the deadline. Its errors name nobody: they are logged.
func (s *customerSystem) Advise(ctx context.Context, q recorder.Question) ([]policy.Signal, error) {
	ctx, cancel := context.WithTimeout(ctx, s.deadline)
	defer cancel()
	body := asked{Recording: q.Recording, Class: q.Class, Parties: make([]askedParty, len(q.Parties))}
	for i, p := range q.Parties {
		body.Parties[i] = askedParty(p)
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("ask customer system: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("ask customer system: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask customer system: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask customer system: it answers %d, and 200 is wanted; see consent.ask_url and consent.ask_token_file", answer.StatusCode)
	}
	b, err = io.ReadAll(io.LimitReader(answer.Body, maxAdvice+1))
	if err != nil {
		return nil, fmt.Errorf("read the customer system's answer: %w", err)
	}
	signals, err := readAdvice(b, q.Parties, s.now())
	if err != nil {
		return nil, fmt.Errorf("read the customer system's answer: %w", err)
	}
	return signals, nil
}

// readAdvice reads an answer about some parties, strictly: what is not understood might be a consent that was taken back.
func readAdvice(b []byte, parties []recorder.QuestionParty, at time.Time) ([]policy.Signal, error) {
	if len(b) > maxAdvice {
		return nil, fmt.Errorf("it is longer than %d bytes", maxAdvice)
	}
	var answer struct {
		Signals []struct {
			Party string            `json:"party"`
			Kind  policy.SignalKind `json:"kind"`
			Proof string            `json:"proof"`
		} `json:"signals"`
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if dec.Decode(&answer) != nil { // its error may have what somebody is called
		return nil, fmt.Errorf(`it is not understood, near byte %d: write {"signals": [{"party": "...", "kind": "...", "proof": "..."}]}, and no other members`, dec.InputOffset())
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows it at byte %d: write one JSON object", dec.InputOffset())
	}
	switch {
	case answer.Signals == nil:
		return nil, errors.New(`it has no signals: write {"signals": []} when nothing is known`)
	case len(answer.Signals) > maxAdviceCount:
		return nil, fmt.Errorf("it has more than %d signals", maxAdviceCount)
	}
	out := make([]policy.Signal, len(answer.Signals))
	for i, s := range answer.Signals {
		known := slices.ContainsFunc(parties, func(p recorder.QuestionParty) bool { return p.ID == s.Party })
		switch {
		case !slices.Contains([]policy.SignalKind{policy.SignalInformed, policy.SignalConsented, policy.SignalObjected}, s.Kind):
			return nil, fmt.Errorf("signal %d: its kind is none of informed, consented, objected", i+1)
		case s.Party == "" && s.Kind == policy.SignalConsented:
			return nil, fmt.Errorf("signal %d: nobody consents for everybody: write the id of the party", i+1)
		case s.Party != "" && !known:
			return nil, fmt.Errorf("signal %d: its party is none that was asked about: write the id of one", i+1)
		case len(s.Proof) > maxAdviceProof:
			return nil, fmt.Errorf("signal %d: its proof is longer than %d bytes: write a reference", i+1, maxAdviceProof)
		}
		out[i] = policy.Signal{Party: s.Party, Kind: s.Kind, Proof: s.Proof, Source: policy.FromCRM, At: at}
	}
	return out, nil
}
