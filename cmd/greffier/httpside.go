package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/recorder"
)

// newAPI gives the HTTP side what it asks for.
func (m *Main) newAPI() *api.Server {
	a, calls := &m.parts.archive, control{m.recorder}
	return api.New(api.Config{
		Catalog: a.Catalog, Audit: a.Audit, Finder: a, Player: player{a}, Live: calls, Control: calls, Expecter: expecter{m.recorder},
		Objections: m.parts.objections(func() string { return m.lists.Policy().Country() }, m.lists.Refresh),
		Policy:     &policyFile{path: m.Config.Policy, lists: m.lists},
		Token:      m.Token, AdminToken: m.Admin, Ready: m.admission.ready, Metrics: m.metrics.handler(), Log: m.log.Named("api"), Secure: m.Config.HTTP.TLSCert != "",
	})
}

// A player lets the API play from the archive, in the API's words.
type player struct{ archive *recorder.Archive }

func (p player) Play(ctx context.Context, id, actor, why, span string) (*api.Sound, error) {
	sound, err := p.archive.Play(ctx, id, actor, why, span)
	if err != nil {
		return nil, inWordsOfAPI(err)
	}
	return &api.Sound{ReadSeekCloser: sound, Format: sound.Format}, nil
}

func (p player) Waveform(ctx context.Context, id, actor string) (json.RawMessage, error) {
	wave, err := p.archive.Waveform(ctx, id, actor)
	if err != nil || wave == nil {
		return nil, inWordsOfAPI(err)
	}
	return json.Marshal(wave)
}

func inWordsOfAPI(err error) error {
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		return api.ErrNotFound
	case errors.Is(err, recorder.ErrNotFinished):
		return api.ErrNotFinished
	case errors.Is(err, recorder.ErrNotPlayable):
		return api.ErrGone
	case errors.Is(err, recorder.ErrRestricted):
		return api.ErrRestricted
	}
	return err
}

// An expecter lets the API tell the recorder of calls that have ended.
type expecter struct{ recorder *recorder.Recorder }

func (e expecter) Expect(ctx context.Context, c api.CDR) error {
	err := e.recorder.Expect(ctx, recorder.CDR{
		CallID: c.CallID, Identifiers: c.Identifiers, Ended: c.EndedAt, Caller: c.Caller, Callee: c.Callee, Class: c.Class,
	})
	if errors.Is(err, recorder.ErrCDR) {
		return api.Conflict(err.Error())
	}
	return err
}
