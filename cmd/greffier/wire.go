package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// A wire lets the recorder ask SRCs, in the recorder's words.
type wire struct{ sip *srs.Server }

func (w wire) Reoffer(ctx context.Context, dialog siprec.DialogID, a siprec.Answer) error {
	err := w.sip.Reoffer(ctx, dialog, a)
	if errors.Is(err, srs.ErrGone) { // the SRC has answered that it knows no such session
		err = errors.Join(err, w.sip.Hangup(ctx, dialog, siprec.EndLost, "the session is gone"))
	}
	return answered(err)
}

func (w wire) RequestSnapshot(ctx context.Context, dialog siprec.DialogID, reason string) error {
	return answered(w.sip.RequestSnapshot(ctx, dialog, reason))
}

func answered(err error) error {
	var refused *srs.RequestError
	switch {
	case errors.As(err, &refused):
		return &recorder.AnswerError{Status: refused.Status, Err: err}
	case errors.Is(err, srs.ErrChanged):
		return fmt.Errorf("%w: %w", recorder.ErrChanged, err)
	}
	return err
}

const (
	// silenceScan is how often sessions whose SRC may have vanished are looked for.
	silenceScan = 30 * time.Second
	// maxProbes is how many SRCs are asked at the same time whether they are there.
	maxProbes = 128
)

// endSilent ends sessions whose SRC has vanished without a word: those that bring nothing, and whose SRC does not answer, or does not
// know them any more.
func (m *Main) endSilent(ctx context.Context) error {
	silence, probe := m.Config.Media.Silence, m.Config.SIP.Probe
	tick := time.NewTicker(min(silenceScan, silence, probe))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var wg sync.WaitGroup
		places := make(chan struct{}, maxProbes)
		for _, dialog := range m.recorder.Quiet(silence, probe) {
			places <- struct{}{}
			wg.Go(func() {
				defer func() { <-places }()
				m.endIfGone(ctx, dialog)
			})
		}
		wg.Wait()
	}
}

// endIfGone asks a session's SRC whether it is there, and ends the session when it is not.
func (m *Main) endIfGone(ctx context.Context, dialog siprec.DialogID) {
	err := m.sip.Probe(ctx, dialog)
	switch {
	case err == nil:
		m.recorder.Alive(dialog)
		return
	case ctx.Err() != nil || errors.Is(err, srs.ErrNoDialog):
		return
	case !errors.Is(err, srs.ErrGone) && !errors.Is(err, srs.ErrSilent): // trouble of ours ends no session
		m.log.Warn("an SRC could not be asked whether it is there", zap.Error(err))
		return
	}
	m.log.Info("a session's SRC is gone", zap.Error(err))
	if err := m.sip.Hangup(ctx, dialog, siprec.EndLost, "no media"); err != nil && ctx.Err() == nil {
		m.log.Warn("a lost session did not confirm its end", zap.Error(err))
	}
}
