//go:build !linux || portable

package media

import (
	"errors"
	"net/netip"
)

func (s *socket) provokeError(netip.AddrPort) error { return errors.ErrUnsupported }
