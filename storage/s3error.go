package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"
)

// s3Error says which of our errors an error of the client is, if any.
func s3Error(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	if isFinal(err) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	response := minio.ToErrorResponse(err)
	switch status := response.StatusCode; {
	case status == 0:
		// No answer: the network, a name, a certificate. What the operator mends, a repetition finds mended.
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout,
		// Two conditional writes at the same time: the one that is asked again finds the other's object.
		status == http.StatusConflict && response.Code == "ConditionalRequestConflict",
		status == http.StatusConflict && response.Code == "OperationAborted":
		return fmt.Errorf("%w: %s (%d %s)", ErrUnavailable, err, status, response.Code)
	case response.Code == "XAmzContentSHA256Mismatch" || response.Code == "BadDigest" || response.Code == "XAmzContentChecksumMismatch":
		return fmt.Errorf("%w: the service received other bytes: %s", ErrMismatch, err)
	case status == http.StatusForbidden:
		return fmt.Errorf("%w: %s (403 %s): check the credentials, their permissions and the clock", ErrDenied, err, response.Code)
	}
	return fmt.Errorf("%s (%d %s)", err, response.StatusCode, response.Code)
}

// s3NotFound is s3Error for a request about one version.
func s3NotFound(ctx context.Context, ref Ref, err error) error {
	response := minio.ToErrorResponse(err)
	switch {
	case response.Code == minio.NoSuchBucket:
		return fmt.Errorf("%s (%d %s): create the bucket with object lock enabled", err, response.StatusCode, response.Code)
	case response.StatusCode == http.StatusNotFound,
		// A delete marker has a version id too, but is no object.
		response.StatusCode == http.StatusMethodNotAllowed,
		// A version id that this service could not have given. An answer to a HEAD has no body to say so.
		response.StatusCode == http.StatusBadRequest && ref.VersionID != "" && (response.Code == "InvalidArgument" || response.Code == "400 Bad Request"):
		return ErrNotFound
	}
	return s3Error(ctx, err)
}
