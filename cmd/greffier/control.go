package main

import (
	"context"
	"errors"
	"slices"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
)

// A control lets the API see the recorder's calls that go on and act on them, in the API's words.
type control struct{ recorder *recorder.Recorder }

// Live lists the calls that go on.
func (c control) Live() []api.Call {
	calls := []api.Call{}
	for _, l := range c.recorder.Live() {
		call := api.Call{
			ID: l.ID, RecordingSession: l.RecordingSession, SRC: l.SRC, Tenant: l.Tenant, State: api.CallState(l.State), Class: l.Class, Rule: l.Rule,
			Reason: l.Reason, Paused: l.Paused, StartedAt: l.StartedAt, CallIDs: l.CallIDs, Parties: []api.CallParty{},
		}
		for _, p := range l.Parties {
			call.Parties = append(call.Parties, api.CallParty(p))
		}
		calls = append(calls, call)
	}
	return calls
}

func (c control) Pause(ctx context.Context, id string, reason policy.PauseReason, actor string) error {
	return c.inWords(id, c.recorder.Pause(ctx, id, string(reason), actor))
}

func (c control) Resume(ctx context.Context, id, actor string) error {
	return c.inWords(id, c.recorder.Resume(ctx, id, actor))
}

func (c control) Mark(ctx context.Context, id string, begin bool, actor string) error {
	return c.inWords(id, c.recorder.Mark(ctx, id, begin, actor))
}

func (c control) Signal(ctx context.Context, id string, signal policy.Signal, actor string) (policy.Verdict, error) {
	v, err := c.recorder.Signal(ctx, id, signal, actor)
	return v, c.inWords(id, err)
}

// inWords gives an error in the API's words. The recorder does not tell a call that does not go on from one of which nothing is, or will
// be, recorded: whoever asks may see both.
func (c control) inWords(id string, err error) error {
	switch {
	case errors.Is(err, recorder.ErrNotRecording):
		if slices.ContainsFunc(c.recorder.Live(), func(l recorder.Live) bool { return l.ID == id }) {
			return api.Conflict("nothing of this call is recorded: there is nothing to act on")
		}
		return api.ErrNoCall
	case errors.Is(err, recorder.ErrNotMarked):
		return api.Conflict(recorder.ErrNotMarked.Error())
	case errors.Is(err, recorder.ErrSignal):
		return api.Conflict(err.Error())
	}
	return err
}
