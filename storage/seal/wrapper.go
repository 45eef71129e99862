package seal

import (
	"context"
	"errors"
)

// A Wrapper is a key-encryption key. Its methods may be called at the same time.
type Wrapper interface {
	// Wrap encrypts a secret that belongs to id. It does not keep secret.
	Wrap(ctx context.Context, id string, secret []byte) ([]byte, error)
	// Unwrap gives the secret back. An error wraps ErrWrongKey if the key-encryption key is another than that of Wrap, and
	// ErrUnavailable if it cannot be used now. A Wrapper may bind the id to the secret; Keys does so in any case, inside of it.
	Unwrap(ctx context.Context, id string, wrapped []byte) ([]byte, error)
}

// maxWrappedBytes is the longest wrapped secret.
const maxWrappedBytes = 64 << 10

// A KEK is a Wrapper of which a new one can take the old one's place. Each has an id: 16 hexadecimal digits.
type KEK interface {
	Wrapper
	// IDs names what it can unwrap with. The first is the one that wraps, as everybody sees it now; there may be none yet.
	IDs(ctx context.Context) ([]string, error)
	// Renew makes a new one, which wraps from now on, in other processes too. The old ones go on unwrapping.
	Renew(ctx context.Context) (id string, err error)
	// Retire destroys old ones. What they have wrapped cannot be unwrapped any more; ids that it does not know are passed over, and
	// the one that wraps is an error.
	Retire(ctx context.Context, ids []string) error
}

// Several is a KEK and others that came before it: the first wraps, all unwrap.
type Several []KEK

// Wrap implements Wrapper.
func (s Several) Wrap(ctx context.Context, id string, secret []byte) ([]byte, error) {
	return s[0].Wrap(ctx, id, secret)
}

// Unwrap implements Wrapper. The error is that of the first which is not ErrWrongKey.
func (s Several) Unwrap(ctx context.Context, id string, wrapped []byte) (secret []byte, err error) {
	for _, w := range s {
		if secret, err = w.Unwrap(ctx, id, wrapped); !errors.Is(err, ErrWrongKey) {
			return secret, err
		}
	}
	return nil, err
}

// IDs implements KEK.
func (s Several) IDs(ctx context.Context) (all []string, err error) {
	for i, w := range s {
		ids, err := w.IDs(ctx)
		if err != nil {
			return nil, err
		}
		if i == 0 && len(ids) == 0 {
			return nil, errNoKEK
		}
		all = append(all, ids...)
	}
	return all, nil
}

// Renew implements KEK.
func (s Several) Renew(ctx context.Context) (string, error) { return s[0].Renew(ctx) }

// Retire implements KEK.
func (s Several) Retire(ctx context.Context, ids []string) error {
	var errs []error
	for _, w := range s {
		errs = append(errs, w.Retire(ctx, ids))
	}
	return errors.Join(errs...)
}
