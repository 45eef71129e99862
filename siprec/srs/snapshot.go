package srs

import (
	"context"
	"fmt"
	"strings"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

// RequestSnapshot asks the client for all its metadata (RFC 7866 section 9.2). The reason, in English, is for the client's log. The
// metadata come later in a request of the client's, and reach the Recorder's Update as always; those that a client puts into its
// answer are taken too.
//
// The request is an UPDATE: the RFC forbids it in any other. The error is ErrNotAllowed when the client takes no UPDATE, or its profile says so;
// else as Reoffer's. It must not be called from inside Begin, Update or End of the same dialog.
func (s *Server) RequestSnapshot(ctx context.Context, id siprec.DialogID, reason string) error {
	d := s.dialogs.find(id)
	if d == nil {
		return ErrNoDialog
	}
	if _, no := d.takesUpdate(); no || d.src.NoSnapshots {
		return fmt.Errorf("snapshot request: %w", ErrNotAllowed)
	}
	return s.detached(ctx, d, func(base context.Context) error { return s.requestSnapshot(base, d, reason) })
}

func (s *Server) requestSnapshot(ctx context.Context, d *dialog, reason string) error {
	res, err := s.refreshBy(ctx, d, letter{
		method: sip.UPDATE,
		headers: []sip.Header{
			sip.NewHeader("Supported", supported),
			sip.NewHeader("Require", "siprec"),
			sip.NewHeader("Accept", accepted),
			sip.NewHeader("Content-Disposition", "recording-session"),
		},
		kind: d.snapshots, body: siprec.SnapshotRequest(reason),
	})
	if err != nil {
		return fmt.Errorf("snapshot request: %w", err)
	}
	err = outcome(sip.UPDATE, res.Response)
	if refusedWith(err, 405, 501) {
		d.refusedUpdate()
	}
	if err != nil {
		return fmt.Errorf("snapshot request: %w", err)
	}
	s.takeMetadata(ctx, d, res)
	return nil
}

// snapshotType gives the media type of snapshot requests to a client: what RFC 7866 section 9.2 says, unless the client's Accept
// has only the name that RFC 9806 gave it.
func snapshotType(req *sip.Request) string {
	const original, renamed = "application/rs-metadata", siprec.TypeMetadata
	if accepts(req, renamed) && !accepts(req, original) {
		return renamed
	}
	return original
}

// accepts tells whether Accept has a media type, by name.
func accepts(req *sip.Request, mediaType string) bool {
	for _, v := range fieldValues(req, "accept") {
		name, _, _ := strings.Cut(v, ";")
		if strings.EqualFold(strings.TrimSpace(name), mediaType) {
			return true
		}
	}
	return false
}
