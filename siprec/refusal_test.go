package siprec_test

import (
	"errors"
	"io"
	"testing"

	"github.com/greffier/greffier/siprec"
)

func TestRefusal(t *testing.T) {
	plain := &siprec.Refusal{Kind: siprec.NoMedia, Reason: "no audio"}
	if got := plain.Error(); got != "no_media: no audio" {
		t.Errorf("got %q", got)
	}
	caused := &siprec.Refusal{Kind: siprec.Internal, Reason: "sorry", Err: io.ErrUnexpectedEOF}
	if got := caused.Error(); got != "internal: sorry: unexpected EOF" || !errors.Is(caused, io.ErrUnexpectedEOF) {
		t.Errorf("got %q", got)
	}
}
