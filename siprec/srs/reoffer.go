package srs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

// Reoffer changes an open session from our side by a re-INVITE (RFC 7866 section 7.2): to pause streams, to resume them, or to
// have them when we are ready. The answer is made as to the client's last description, which is the Offer of the last
// Invitation or Change, and says what we offer now: ports, directions, formats. A stream that the client has refused cannot
// be offered again, and none can be added.
//
// What the client answers is handed to the Recorder's Update, with Answered set, before Reoffer returns. While our offer is open
// the client's own INVITEs are refused with 491; when its INVITE was first, ours is sent again after a while.
//
// The error is ErrNoDialog, ErrNotAllowed, ErrChanged, ErrGone, ErrSilent, a *RequestError, or the context's. When the context
// ends first, an INVITE that was sent is not taken back: what the client answers counts. It must not be called from inside Begin,
// Update or End of the same dialog.
func (s *Server) Reoffer(ctx context.Context, id siprec.DialogID, a siprec.Answer) error {
	d := s.dialogs.find(id)
	switch {
	case d == nil:
		return ErrNoDialog
	case d.src.NoReinvite:
		return fmt.Errorf("re-INVITE: %w", ErrNotAllowed)
	}
	a.Media = slices.Clone(a.Media)
	return s.detached(ctx, d, func(base context.Context) error { return s.renegotiate(ctx, base, d, &a) })
}

// detached runs something for a dialog that goes on when the caller stops waiting for it, or when the dialog ends.
func (s *Server) detached(ctx context.Context, d *dialog, do func(base context.Context) error) error {
	done := make(chan error, 1)
	started := s.background(func(base context.Context) {
		err := errors.New("internal error")
		defer func() { done <- err }() // also after a panic
		err = do(base)
	})
	if !started {
		return ErrNoDialog
	}
	select {
	case err := <-done:
		return err
	case <-d.ended:
		return ErrNoDialog
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// renegotiate offers the client a, or nil: our description as it is. Until it is sent the first context ends it, then the second.
func (s *Server) renegotiate(asked, base context.Context, d *dialog, a *siprec.Answer) error {
	var first *siprec.Offer
	for try := 1; ; try++ {
		if err := d.claim(asked); err != nil {
			return err
		}
		if first == nil {
			first = d.prev
		}
		sdp, orig, err := d.reoffer(first, a)
		d.release()
		if err != nil {
			d.unclaim()
			return err
		}
		err = s.offer(base, d, sdp, orig, a == nil)
		if !refusedWith(err, 491) || try == maxGlare {
			return err
		}
		// The Call-ID is the client's, so that it waits longer than we do (RFC 3261 section 14.1).
		wait := time.NewTimer(time.Duration(rand.IntN(maxGlareUnits+1)) * s.timing.glare)
		select {
		case <-wait.C:
		case <-d.ended:
		case <-asked.Done():
		}
		wait.Stop()
	}
}

// reoffer writes our description for an offer of ours. The caller holds the dialog's turn.
func (d *dialog) reoffer(first *siprec.Offer, a *siprec.Answer) ([]byte, siprec.Origin, error) {
	if a == nil {
		return d.sdp, d.orig, nil
	}
	if !sameDescription(first, d.prev) || len(a.Media) != len(d.prev.Media) {
		return nil, d.orig, ErrChanged
	}
	// What the client sent of late does not bind an offer: it may have been inactive because we were.
	open := *d.prev
	open.Media = slices.Clone(open.Media)
	for i := range open.Media {
		open.Media[i].Direction = siprec.SendOnly
	}
	return d.write(&open, *a)
}

// offer sends one re-INVITE in a dialog that was claimed for it, and hands on what the client answers.
func (s *Server) offer(ctx context.Context, d *dialog, sdp []byte, orig siprec.Origin, repeated bool) error {
	unclaim := sync.OnceFunc(d.unclaim)
	defer unclaim()
	l := letter{method: sip.INVITE, headers: abilities(), kind: siprec.TypeSDP, body: sdp}
	res, err := s.refreshBy(ctx, d, l)
	if err != nil {
		return fmt.Errorf("re-INVITE: %w", err)
	}
	if err := outcome(sip.INVITE, res.Response); err != nil {
		return err
	}
	// The turn comes before the ACK, so that what the client sends after the ACK comes after its answer. A Recorder that is slow
	// does not hold the ACK up for long.
	wait, cancel := context.WithTimeout(ctx, s.timing.pending)
	err = d.take(wait)
	cancel()
	res.confirm()
	if err != nil {
		err = d.take(ctx)
	}
	unclaim()
	if err != nil {
		return fmt.Errorf("re-INVITE: %w", context.Cause(ctx))
	}
	defer d.release()
	if d.over() {
		return ErrNoDialog
	}
	d.sdp, d.orig = sdp, orig
	if err := s.applyAnswer(ctx, d, res, repeated); err != nil {
		return fmt.Errorf("%w: %w", errNotTaken, err)
	}
	return nil
}

// refreshBy sends a session refresh request. The client may ask for a longer session interval with a 422 (RFC 4028 section 7.3).
func (s *Server) refreshBy(ctx context.Context, d *dialog, l letter) (invitee, error) {
	headers := append([]sip.Header{d.place.contactHeader()}, l.headers...)
	for try := 1; ; try++ {
		l.headers = append(d.timerFields(), headers...)
		res, err := s.refreshOnce(ctx, d, l)
		switch {
		case err != nil:
			return res, err
		case res.StatusCode == 422 && try < maxIntervals && d.raise(minSEOf(res)):
			continue
		case res.StatusCode < 300:
			d.refreshed(res, s.now())
		}
		return res, nil
	}
}

func (s *Server) refreshOnce(ctx context.Context, d *dialog, l letter) (invitee, error) {
	if l.method == sip.INVITE {
		return s.invite(ctx, d, l)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timing.answer)
	defer cancel()
	res, err := s.send(ctx, d, l)
	if err == nil && res.StatusCode < 300 {
		d.learn(res)
	}
	return invitee{Response: res}, err
}
