package storage_test

import (
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/greffier/greffier/storage"
)

// careless is a service that keeps some conditions and not others.
type careless struct {
	noneMatch, match, missing, atomic bool // that it keeps
	late                              sync.WaitGroup

	mu      sync.Mutex
	objects map[string][2]string // content and entity tag
}

func (c *careless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		_ = xml.NewEncoder(w).Encode(struct {
			XMLName xml.Name `xml:"Error"`
			Code    string
		}{Code: code})
	}
	query := r.URL.Query()
	switch {
	case query.Has("location"), query.Has("versioning"):
		fmt.Fprint(w, `<VersioningConfiguration/>`)
		return
	case query.Has("object-lock"):
		refuse(http.StatusNotFound, "ObjectLockConfigurationNotFoundError")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(http.StatusBadRequest, "IncompleteBody")
		return
	}
	c.mu.Lock()
	object, found := c.objects[r.URL.Path]
	if !c.atomic && r.Method == http.MethodPut { // all look before anybody writes
		c.mu.Unlock()
		if strings.Contains(r.Header.Get("If-None-Match"), "*") {
			c.late.Done()
			c.late.Wait()
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	switch {
	case r.Method == http.MethodDelete:
		delete(c.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	case r.Method != http.MethodPut && !found:
		refuse(http.StatusNotFound, "NoSuchKey")
	case r.Method != http.MethodPut:
		w.Header().Set("ETag", object[1])
		w.Header().Set("Last-Modified", "Sat, 28 Nov 2026 10:00:00 GMT")
		w.Header().Set("Content-Length", fmt.Sprint(len(object[0])))
		fmt.Fprint(w, object[0])
	case c.noneMatch && found && r.Header.Get("If-None-Match") != "":
		refuse(http.StatusPreconditionFailed, "PreconditionFailed")
	case c.match && found && r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != object[1]:
		refuse(http.StatusPreconditionFailed, "PreconditionFailed")
	case c.missing && !found && r.Header.Get("If-Match") != "":
		refuse(http.StatusNotFound, "NoSuchKey")
	default:
		etag := `"` + rand.Text() + `"`
		c.objects[r.URL.Path] = [2]string{string(body), etag}
		w.Header().Set("ETag", etag)
	}
}

// TestKeyBucketUnfit: a service that does not keep what keys need is refused, and told why.
func TestKeyBucketUnfit(t *testing.T) {
	for _, test := range []struct {
		c    *careless
		want string
	}{
		{&careless{noneMatch: true, match: true, missing: true, atomic: true}, ""},
		{&careless{match: true, missing: true, atomic: true}, "8 of 8 writers succeed"},
		{&careless{noneMatch: true, match: true, missing: true}, "8 of 8 writers succeed"},
		{&careless{noneMatch: true, missing: true, atomic: true}, "8 of 8 writers succeed"},
		{&careless{noneMatch: true, match: true, atomic: true}, "makes an object in spite of If-Match"},
	} {
		test.c.objects = make(map[string][2]string)
		test.c.late.Add(8)
		server := httptest.NewServer(test.c)
		k, err := storage.NewKeyBucket(storage.S3Config{Endpoint: server.URL, Bucket: "keys", Region: "x", PathStyle: true, AccessKey: "a", SecretKey: "b"})
		if err != nil {
			t.Fatal(err)
		}
		err = k.Check(t.Context())
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.want, err, test.want)
		}
		if len(test.c.objects) > 0 {
			t.Errorf("%s: left: %v", test.want, test.c.objects)
		}
		server.Close()
	}
}
