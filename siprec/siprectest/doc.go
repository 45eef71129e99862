// Package siprectest is a scriptable session recording client (SRC, RFC 7866), as net/http/httptest is to net/http:
// it opens recording sessions with a session recording server (SRS), sends RTP that it can impair on purpose, and knows
// exactly what it sent and when, so that a recording can be judged.
//
//	src, err := siprectest.Dial(ctx, siprectest.Config{Server: "127.0.0.1:5060"})
//	call, err := src.Invite(ctx, siprectest.TwoParty(
//		siprectest.Bursts(440, time.Second, 100*time.Millisecond),
//		siprectest.Bursts(880, time.Second, 100*time.Millisecond)))
//	err = call.Play(ctx, 10*time.Second)
//	err = call.Bye(ctx, nil)
//	report := siprectest.Compare(channels, 8000, labels, call.Truth())
//
// The package shares no code with the server that it tests, beyond the vocabulary of package siprec: it has its own SIP
// transactions (so that a client's mistakes can be scripted, and two ends do not agree by being the same code), its own
// session description writer and reader, its own G.711 encoder and its own tone detector. Only the reading of SIP
// messages is a library's.
//
// Media are placed on one axis: position p of a source, in samples at 8000 Hz, is the instant epoch + p/8000 for every
// stream of a call, whatever the impairments. A frame of audio is sent at the instant at which it begins.
package siprectest
