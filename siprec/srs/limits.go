package srs

import (
	"log/slog"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// What a peer can make us hold, and for how long.
const (
	// maxDatagram is the largest SIP message over UDP, in bytes: what a UDP datagram can carry at all.
	maxDatagram = 65535

	// maxMessage is the largest SIP message over TCP, in bytes. A larger one closes its connection, because where the
	// next message would begin is not known.
	maxMessage = 512 << 10

	// maxHead is the longest start line with header fields over TCP, in bytes; a longer one closes its connection.
	// maxStartLine is how much of a start line is waited for, and maxKeptHead how much memory a quiet connection keeps.
	maxHead      = 64 << 10
	maxStartLine = 8 << 10
	maxKeptHead  = 16 << 10

	// maxBody is the largest body that is read, in bytes; a larger one is answered with 413. Metadata of a conference
	// with hundreds of participants stay below it.
	maxBody = 256 << 10

	// maxHeaderValue bounds what is kept of a header field that a Source asks for, in bytes.
	maxHeaderValue = 4 << 10

	// maxIdentifier is the longest Call-ID or tag that is accepted, in bytes.
	maxIdentifier = 512

	// maxUnacked is how many 2xx to INVITEs of one dialog may be without their ACK at once. Each is repeated for half a minute; there
	// are clients that never acknowledge a re-INVITE.
	maxUnacked = 16

	// maxRoutes is the longest route set that is accepted.
	maxRoutes = 16

	// defaultMaxDialogs is used when Config.MaxDialogs is zero.
	defaultMaxDialogs = 4000

	// maxHalfOpen is how many INVITEs may be without a final answer at once; more are answered with 503.
	maxHalfOpen = 512

	// maxConns is how many TCP or TLS connections of known sources may be open at once on one listener; each costs a 64 KiB read buffer.
	maxConns = 1024

	// maxHandshakes is how many TLS handshakes with addresses of sources may be under way at once, on one listener; of other
	// addresses, which a certificate may still identify, there are fewer, and few from each.
	maxHandshakes            = 256
	maxStrangerHandshakes    = 64
	maxStrangerHandshakesPer = 8

	// maxStrangerConns is how many TCP or TLS connections of unknown sources may be waiting for their 403 at once.
	maxStrangerConns = 16

	// udpReadBuffer is the kernel's buffer for a UDP listener, in bytes: a burst of large INVITEs must fit while we work.
	udpReadBuffer = 4 << 20
)

// Times that do not depend on configuration.
const (
	timerT1 = 500 * time.Millisecond // RFC 3261 section 17.1.1.1
	timerT2 = 4 * time.Second

	// pendingWait is how long a request waits for the one before it in the same dialog. After that the answer is 500 with
	// Retry-After (RFC 3261 section 14.2).
	pendingWait = 2 * time.Second

	// reorderWait is how long a request whose CSeq skips numbers waits for the missing one: UDP and sipgo's goroutine per
	// message both change the order of what was sent back to back.
	reorderWait = 250 * time.Millisecond

	// beginTimeout bounds what a Recorder may take to accept a session: less than the client's Timer B (32 s).
	beginTimeout = 20 * time.Second

	// requestTimeout bounds how long we wait for the answer to a BYE or CANCEL of ours.
	requestTimeout = 4 * time.Second

	// answerTimeout bounds how long we wait for the final answer to a request of ours in a session that is to go on: 64*T1 (RFC
	// 3261 sections 17.1.1.2 and 17.1.2.2), after which the client counts as gone.
	answerTimeout = 64 * timerT1

	// glareUnit and maxGlareUnits are the steps, and the most of them, that we wait after a 491 to an INVITE in a dialog that the
	// client opened (RFC 3261 section 14.1); maxGlare is how often.
	glareUnit     = 10 * time.Millisecond
	maxGlareUnits = 200
	maxGlare      = 5

	// maxIntervals is how often a 422 may raise the session interval of one request of ours.
	maxIntervals = 3

	// ackGrace is how long a Hangup waits for the ACK that must come before our BYE (RFC 3261 section 15).
	ackGrace = time.Second

	// closeTimeout bounds how long Close waits for peers to answer BYE.
	closeTimeout = 3 * time.Second

	// handlerTimeout bounds how long Close then waits for the Recorder.
	handlerTimeout = 10 * time.Second

	// sweepInterval is how often session timers are looked at.
	sweepInterval = time.Second

	// defaultRetryAfter is what a 503 says when the Refusal does not.
	defaultRetryAfter = 10 * time.Second

	// maxRetryAfter bounds the random Retry-After of a 500 for an overlapping request (RFC 3261 section 14.2).
	maxRetryAfter = 10

	// maxExpiryMargin is how long before the end of its interval, at most, a session that was not refreshed is given up; of a short
	// interval it is a third (RFC 4028 section 10).
	maxExpiryMargin = 32 * time.Second

	// refreshRetry is how long we wait after a refresh that failed.
	refreshRetry = 5 * time.Second

	// minSessionExpires is the shortest session interval (RFC 4028 section 4); less is answered with 422.
	minSessionExpires = 90 * time.Second

	// A TCP connection that has said nothing yet may live for connFirstRead; one that has, for connIdle after its last
	// byte. Clients keep a connection open without traffic for the length of a call.
	connFirstRead = 30 * time.Second
	connIdle      = 12 * time.Hour

	// messageTime is how long a message over TCP may take from its first byte to its last. The longest takes a second at the
	// speed of a slow line; a client that trickles would hold a buffer for ever.
	messageTime = 30 * time.Second

	// lingerTime is how long a connection on which no message can be found any more stays open for answers.
	lingerTime = 500 * time.Millisecond

	// connWrite bounds one write to a peer that does not read.
	connWrite = 10 * time.Second

	// connKeepAlive finds a dead TCP peer.
	connKeepAlive = 30 * time.Second

	// handshakeTime bounds a TLS handshake.
	handshakeTime = 5 * time.Second

	// closeNotifyTime bounds the goodbye of a TLS connection to a peer that does not read.
	closeNotifyTime = 100 * time.Millisecond

	// certInterval is how often the files of certificates are looked at.
	certInterval = 10 * time.Second

	// certExpirySoon is how long before its end a certificate that is read brings a warning.
	certExpirySoon = 14 * 24 * time.Hour

	// strangerConnTime is how long a stranger's TCP connection lives.
	strangerConnTime = 2 * time.Second

	// strangerSummary is how often refusals of strangers that were not reported one by one are reported as a number.
	strangerSummary = 10 * time.Second
)

// Strangers are answered and reported at this rate, all of them together; what comes faster is dropped and counted.
const (
	strangerRate  = 20 // per second
	strangerBurst = 50

	strangerHandshakeRate  = 50 // per second and listener
	strangerHandshakeBurst = 100
)

// What one Source may do, each a second; a burst may have as much as rateBurst seconds. What is above is refused with 503 and
// summed up.
const (
	// defaultMaxRate is how many new sessions are taken when Source.MaxRate is zero. A thousand at once is a whole site whose
	// SBC comes back.
	defaultMaxRate = 200
	rateBurst      = 5

	// otherRate is how many requests outside of dialogs that are no INVITE are served: a client asks with OPTIONS every few
	// seconds.
	otherRate = 200

	// dialogRate is how many requests within dialogs are taken over UDP. What is above is dropped, as the network would, and comes
	// again: a whole site may hang up at once.
	dialogRate = 1000

	// answerRate is how many answers are made without sipgo: to what is too fast, or cannot be read.
	answerRate = 1000

	// reportRate is how many refusals are reported one by one; each is a line of the log and one in the audit log.
	reportRate = 20

	// rateRetryAfter is what a client that is too fast is told to wait.
	rateRetryAfter = 5 * time.Second

	// summaryInterval is how often refusals that were not reported one by one are reported as a number.
	summaryInterval = 10 * time.Second

	// maxTallied is how many different refusals of one source are summed up apart.
	maxTallied = 32

	// verdictTime is how long it is remembered whether an INVITE over UDP was taken: 64*T1, for which a client repeats it.
	verdictTime = 64 * timerT1

	// maxVerdicts is how many refused ones are remembered, of each source.
	maxVerdicts = 8192
)

// Digest authentication.
const (
	// nonceLife is how long a nonce may be used; a client that has an older one is given another and needs no other password.
	nonceLife = 5 * time.Minute

	// nonceSkew is how much younger than now a nonce may be: our own clock may have been set back.
	nonceSkew = 10 * time.Second

	// maxNonces is how many nonces that were used are remembered, some 100 bytes each.
	maxNonces = 65536
)

// raiseOnce guards sipgo's process-wide limits. They are plain variables that every sipgo user in the process shares and
// reads without a lock, so they are written once, when the first server is made. A program that uses sipgo for something else too must make a
// server first.
var raiseOnce sync.Once

func raiseProcessLimits() {
	raiseOnce.Do(func() {
		// sipgo refuses to send datagrams larger than UDPMTUSize-200 instead of letting IP fragment them, and never
		// changes to TCP. An answer to an offer with many m-lines is larger than its default of 1300 bytes.
		if sip.UDPMTUSize < maxDatagram+200 {
			sip.UDPMTUSize = maxDatagram + 200
		}
		// A datagram longer than the read buffer is cut off, and then dropped without an answer.
		if sip.TransportBufferReadSize < maxDatagram {
			sip.TransportBufferReadSize = maxDatagram
		}
		// What sipgo does not log through the loggers that it is given goes to slog's default, onto our standard error.
		sip.SetDefaultLogger(slog.New(slog.DiscardHandler))
	})
}
