package seal

import (
	"context"
	"fmt"
	"net/url"
)

// localScheme is that of a key within the URL, which gocloud.dev/secrets has for tests. No program of ours links it.
const localScheme = "base64key"

// ServiceOptions are what a URL does not say.
type ServiceOptions struct {
	// TokenFile holds the token for Vault, readable by its owner only. It is read for each request.
	TokenFile string
	// CAFile holds the certificate authority of Vault; "": the system's.
	CAFile string
}

// OpenService gives a key-encryption key by its URL, and asks nothing of it yet:
//
//	hashivault://HOST:PORT/MOUNT/KEY    the Transit engine of HashiCorp Vault or OpenBao
//	awskms://, gcpkms://, azurekeyvault://    as gocloud.dev/secrets has them, in a program built with the tag cloudkms
//
// Each request has 5 seconds.
func OpenService(ctx context.Context, rawURL string, o ServiceOptions) (Service, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.User != nil {
		return Service{}, fmt.Errorf("key-encryption key: it is no URL, or has a secret in it: write hashivault://HOST:PORT/MOUNT/KEY") // err may show a secret
	}
	var w Wrapper
	switch u.Scheme {
	case transitScheme, plainTransitScheme:
		w, err = openTransit(u, o)
	case "awskms", "gcpkms", "azurekeyvault", localScheme:
		w, err = openCloud(ctx, u)
	default:
		err = fmt.Errorf("%q is none: write file, or a URL of hashivault, awskms, gcpkms or azurekeyvault", u.Scheme)
	}
	if err != nil {
		return Service{}, fmt.Errorf("key-encryption key %s: %w", nameOf(u), err)
	}
	return Service{nameOf(u), w}, nil
}

// nameOf is a URL without its query, which may hold what is nobody's business.
func nameOf(u *url.URL) string {
	if u.Scheme == localScheme {
		return localScheme
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
