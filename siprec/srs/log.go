package srs

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
)

// A bridge hands sipgo's warnings and errors to our log, at debug level, as the constant message alone: sipgo's attributes
// and errors quote what peers sent, bodies and addresses of people included.
type bridge struct{ log *zap.Logger }

func (b bridge) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (b bridge) Handle(_ context.Context, r slog.Record) error {
	b.log.Debug("sip stack", zap.String("event", r.Message))
	return nil
}

func (b bridge) WithAttrs([]slog.Attr) slog.Handler { return b }
func (b bridge) WithGroup(string) slog.Handler      { return b }
