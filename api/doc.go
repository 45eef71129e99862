// Package api is the HTTP side: a JSON API over the catalog, audio with Range, waveforms, health and metrics, and one page to listen at.
//
// Whoever holds the bearer token may search and listen; every search, view and playback is in the audit log before it is
// answered. What the package needs beside catalog and audit it declares as small interfaces, so that it knows nothing of SIP,
// media or storage.
package api
