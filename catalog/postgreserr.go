package catalog

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// judgePostgres tells a server that is away, and transactions that met, from what is wrong with a statement, or with the settings.
func judgePostgres(err error) judgement {
	if err == nil {
		return isWrong
	}
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return judgeCode(said.Code)
	}
	if isUntrusted(err) {
		return isWrong // and will be another time
	}
	var network *net.OpError
	var name *net.DNSError
	if errors.As(err, &network) || errors.As(err, &name) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) || pgconn.Timeout(err) {
		return isAway
	}
	return isWrong
}

// isUntrusted tells whether a server did not prove by TLS who it is.
func isUntrusted(err error) bool {
	var untrusted *tls.CertificateVerificationError
	return errors.As(err, &untrusted) || err != nil && strings.Contains(err.Error(), refusesTLS)
}

// refusesTLS is what the driver says of a server without TLS. It has no other name for it.
const refusesTLS = "server refused TLS connection"

// judgeCode judges what the server says (PostgreSQL, appendix A: error codes).
func judgeCode(code string) judgement {
	switch code {
	case "40001", "40P01": // serialization failure, deadlock
		return isRaced
	case "25006", // it has become a copy of another server, and reads only
		"25P03", // idle for too long inside a transaction
		"55P03": // a lock was not to be had
		return isAway
	}
	switch code[:min(2, len(code))] {
	case "08", // connection
		"53", // disk, memory, or connections are used up
		"57", // it is shut down, or starts, or a statement took too long
		"58": // its disk fails
		return isAway
	}
	return isWrong
}
