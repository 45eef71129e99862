package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// reloadAtHangup catches SIGHUP from now on, and gives what takes up policy, directory and certificates again at each.
func (m *Main) reloadAtHangup() func(context.Context) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	return func(ctx context.Context) error {
		defer signal.Stop(hangup)
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-hangup:
				m.lists.Reload(ctx)
				if m.Config.SIP.TLSCert != "" {
					_ = m.sip.ReloadCertificates() // it has logged the error
				}
			}
		}
	}
}
