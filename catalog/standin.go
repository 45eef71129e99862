package catalog

import "context"

func (c *Catalog) Settle(ctx context.Context, key string, calls int, draw, recording string) (bool, []string, error) {
	return true, nil, nil
}
