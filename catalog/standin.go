package catalog

import "context"

func (c *Catalog) Settle(ctx context.Context, key string, calls int, draw, recording string) (bool, []string, error) {
	return true, nil, nil
}
func (c *Catalog) Doom(ctx context.Context, id, reason string) error { return nil }
