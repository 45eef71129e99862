package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
)

// maxBody bounds the body of a request, in bytes; that of a policy has a bound of its own.
const maxBody = 64 << 10

// read fills v from the JSON of a request, and tells whether it could; otherwise it has answered. An empty body is an empty object.
//
// Only application/json is read: no form of another site can send it, so that nobody's browser acts for them behind their back.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	if !typed(w, r, "application/json") {
		return false
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, more := dec.Token(); more == nil {
			err = errors.New("more than one value")
		} else if !errors.Is(more, io.EOF) {
			err = more
		}
	} else if errors.Is(err, io.EOF) {
		return true
	}
	return err == nil || unreadable(w, err)
}

// typed tells whether a request's body says that it is of one of the types; otherwise it has answered.
func typed(w http.ResponseWriter, r *http.Request, types ...string) bool {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	for _, want := range types {
		if err == nil && got == want {
			return true
		}
	}
	fail(w, http.StatusUnsupportedMediaType, "send the request with Content-Type: "+types[0])
	return false
}

// unreadable answers for a body that cannot be read. It is never true.
func unreadable(w http.ResponseWriter, err error) bool {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", large.Limit))
		return false
	}
	fail(w, http.StatusBadRequest, "the body cannot be read: "+err.Error())
	return false
}
