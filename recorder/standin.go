package recorder

import (
	"context"
	"time"

	"github.com/greffier/greffier/policy"
)

func (r *Recorder) keep(ctx context.Context, c *call, f policy.Facts, at time.Time) {}
