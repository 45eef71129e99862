package srs

import (
	"context"
	"errors"
	"fmt"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

// Probe asks the client whether the session is alive there, by an OPTIONS in the dialog. Nil: it is, whatever the client has to say
// to OPTIONS; a client that does not know the method is asked by a re-INVITE that changes nothing. ErrGone and ErrSilent say
// that it is not (RFC 3261 section 12.2.1.2); the session goes on here until it is hung up. ErrNoDialog is returned for one that has
// ended. It must not be called from inside Begin, Update or End of the same dialog.
func (s *Server) Probe(ctx context.Context, id siprec.DialogID) error {
	d := s.dialogs.find(id)
	if d == nil {
		return ErrNoDialog
	}
	return s.detached(ctx, d, func(base context.Context) error { return s.probe(ctx, base, d) })
}

func (s *Server) probe(asked, base context.Context, d *dialog) error {
	wait, cancel := context.WithTimeout(asked, s.timing.answer)
	defer cancel()
	res, err := s.send(wait, d, letter{method: sip.OPTIONS, headers: append(abilities(), d.place.contactHeader())})
	if err != nil {
		return fmt.Errorf("OPTIONS: %w", err)
	}
	err = outcome(sip.OPTIONS, res)
	switch {
	case err == nil, errors.Is(err, ErrGone):
		return err
	case !refusedWith(err, 405, 501):
		return nil // it refuses the request and knows the dialog
	}
	if yes, _ := d.takesUpdate(); yes {
		err = s.pureUpdate(base, d)
	} else if d.src.NoReinvite {
		return nil
	} else {
		err = s.renegotiate(asked, base, d, nil)
	}
	if r := (*RequestError)(nil); errors.As(err, &r) || errors.Is(err, errNotTaken) {
		return nil // it has answered
	}
	return err
}
