// Package srs is the SIP side of a recording server (RFC 7866): it accepts recording sessions from the recording clients
// that it knows, keeps their dialogs, and tells a Recorder what they ask for. It never sees media.
//
// What a Recorder is promised, for each dialog: Begin is called once and first; then Update and End, one at a time; End
// is called exactly once when Begin succeeded, and nothing after it. A call of the Recorder that panics is answered with
// 500 and does not hurt another dialog.
//
// What a recording client is promised: every request that can be read is answered; an answer to an offer names every
// m-line; a 2xx is repeated until its ACK arrives (RFC 3261 section 13.3.1.4); a dialog whose re-INVITE is never
// acknowledged lives on.
//
// Of its own accord the server sends BYE, and in an open dialog re-INVITE (Reoffer), UPDATE (RequestSnapshot), OPTIONS (Probe),
// and what keeps a session alive when that is ours (RFC 4028). Our offers and the client's never cross: one waits, or is refused with
// 491. An INVITE that leaves the offer to us gets one, and its ACK answers it.
//
// Who may talk to the server is decided before anything of a message is read, by address or, over mutual TLS, by the names of
// the certificate (see Source); a source may have to know a password besides (digest.go, nonce.go). What a source sends too fast,
// or what is no SIP, is refused before anything is kept of it (screen.go, quota.go, framing.go). OPTIONS is answered with what an
// INVITE would get, and sessions in progress are always served.
//
// The transport and transaction layers are sipgo's. What sipgo leaves open is closed here: who may open a connection and
// for how long it may be silent (listen.go), TLS handshakes and whose a connection is (tlslisten.go, tlsidentity.go), header fields that it cannot read (parser.go), process-wide limits
// (limits.go), the order of a dialog's requests (dialog.go), and panics.
package srs
