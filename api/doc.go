// Package api is the HTTP side: a JSON API over the catalog and over the calls that go on, audio with Range, waveforms, the policy,
// health and metrics, and one page.
//
// Whoever holds the bearer token may search and listen, and act on calls; changing the policy takes another. Every search, view,
// playback and deed is in the audit log before it is answered. What the package needs beside catalog and audit it declares as small
// interfaces, so that it knows nothing of SIP, media or storage. docs/api.md lists the requests.
package api
