//go:build cloudkms

package seal

import (
	"context"
	"fmt"
	"net/url"

	"gocloud.dev/gcerrors"
	"gocloud.dev/secrets"
	_ "gocloud.dev/secrets/awskms"        // awskms://
	_ "gocloud.dev/secrets/azurekeyvault" // azurekeyvault://
	_ "gocloud.dev/secrets/gcpkms"        // gcpkms://
)

// cloud is a key of a cloud's key-management service. Its credentials are found as the cloud's own tools find theirs.
type cloud struct{ keeper *secrets.Keeper }

func openCloud(ctx context.Context, u *url.URL) (Wrapper, error) {
	keeper, err := secrets.OpenKeeper(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return &cloud{keeper}, nil
}

// Wrap implements Wrapper.
func (c *cloud) Wrap(ctx context.Context, _ string, secret []byte) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	wrapped, err := c.keeper.Encrypt(limited, secret)
	if err != nil {
		return nil, fmt.Errorf("encrypt by key service: %w", cloudError(ctx, err, ErrUnavailable))
	}
	return wrapped, nil
}

// Unwrap implements Wrapper.
func (c *cloud) Unwrap(ctx context.Context, _ string, wrapped []byte) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	secret, err := c.keeper.Decrypt(limited, wrapped)
	if err != nil {
		return nil, fmt.Errorf("decrypt by key service: %w", cloudError(ctx, err, ErrWrongKey))
	}
	return secret, nil
}

// cloudError takes what the request itself is blamed for as bad, and everything else as a service that is away.
func cloudError(ctx context.Context, err, bad error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch gcerrors.Code(err) {
	case gcerrors.InvalidArgument, gcerrors.NotFound, gcerrors.FailedPrecondition:
		return fmt.Errorf("%w: %w", bad, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
