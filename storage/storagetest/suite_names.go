package storagetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/greffier/greffier/storage"
)

// BadKeys are keys that every store must refuse.
var badKeys = []string{
	"", "/", "/absolute", "trailing/", "double//slash", ".", "..", "a/..", "../a", "a/../b", "a/./b", ".hidden", "a/.hidden",
	`back\slash`, "space here", "at@sign", "colon:", "new\nline", "nul\x00", "étoile", "per%20cent", "q?", "h#", "tilde~", "\xff",
	strings.Repeat("a", storage.MaxSegmentBytes+1), strings.Repeat("a/", storage.MaxSegments) + "a",
	strings.Repeat(strings.Repeat("a", 99)+"/", 6) + "a",
}

func (s *suite) badNames() {
	for _, key := range badKeys {
		ref := storage.Ref{Key: key, VersionID: "0123"}
		_, err := s.store.Put(s.ctx, key, strings.NewReader("x"), 1, storage.PutOptions{})
		s.wantError(fmt.Sprintf("put %q", key), err, storage.ErrInvalid)
		_, err = s.store.Stat(s.ctx, ref)
		s.wantError(fmt.Sprintf("stat %q", key), err, storage.ErrInvalid)
		_, err = s.store.Open(s.ctx, ref)
		s.wantError(fmt.Sprintf("open %q", key), err, storage.ErrInvalid)
		s.wantError(fmt.Sprintf("delete %q", key), s.store.Delete(s.ctx, ref), storage.ErrInvalid)
	}
	for _, prefix := range []string{"/", "..", "a/../", "a//", "@", " "} {
		var got error
		for _, got = range s.store.List(s.ctx, prefix) {
		}
		s.wantError(fmt.Sprintf("list %q", prefix), got, storage.ErrInvalid)
	}
	for _, m := range []map[string]string{
		{"": "x"}, {"Upper": "x"}, {"under_score": "x"}, {"1st": "x"}, {"sha256": "x"}, {"a": ""}, {"a": " x"}, {"a": "x "},
		{"a": "line\r\nbreak"}, {"a": "naïve"}, {"a": "=?utf-8?q?x?="}, {"a": strings.Repeat("x", storage.MaxMetadataBytes)},
		{strings.Repeat("a", storage.MaxMetadataNameBytes+1): "x"},
	} {
		_, err := s.store.Put(s.ctx, "key", strings.NewReader("x"), 1, storage.PutOptions{Metadata: m})
		s.wantError(fmt.Sprintf("metadata %.60v", m), err, storage.ErrInvalid)
	}
	for what, o := range map[string]storage.PutOptions{
		"SHA-256 in upper case": {SHA256: strings.ToUpper(sum([]byte("x")))},
		"SHA-256 too short":     {SHA256: "abcd"},
		"content type":          {ContentType: "a\nb"},
	} {
		_, err := s.store.Put(s.ctx, "key", strings.NewReader("x"), 1, o)
		s.wantError(what, err, storage.ErrInvalid)
	}
	_, err := s.store.Put(s.ctx, "key", strings.NewReader("x"), -1, storage.PutOptions{})
	s.wantError("negative size", err, storage.ErrInvalid)
	s.wantError("delete without version", s.store.Delete(s.ctx, storage.Ref{Key: "key"}), storage.ErrInvalid)
	s.wantError("hold without version", s.store.Hold(s.ctx, storage.Ref{Key: "key"}, true), storage.ErrInvalid)
	s.wantError("lock without version", s.store.Lock(s.ctx, storage.Ref{Key: "key"}, s.until(storage.Governance, realLock)), storage.ErrInvalid)
	if got := s.listed(""); len(got) != 0 {
		s.Errorf("versions: %v, want none", got)
	}
	// What is at the limits is accepted and comes back.
	key := strings.Repeat("a", storage.MaxSegmentBytes) + "/" + strings.Repeat("b/", storage.MaxSegments-2) + "0-Z_.z"
	meta := map[string]string{"a": strings.Repeat("x", storage.MaxMetadataBytes-30), "b-1": "\"quoted\", a=b; c: 100%~"}
	ref := s.put(key, "x", storage.PutOptions{Metadata: meta})
	if got := s.stat(ref).Metadata; !maps.Equal(got, meta) {
		s.Errorf("metadata %v, want %v", got, meta)
	}
}

func (s *suite) missing() {
	gone := s.put("gone", "x", storage.PutOptions{})
	s.must(s.store.Delete(s.ctx, gone))
	other := s.put("other", "y", storage.PutOptions{})
	for what, ref := range map[string]storage.Ref{
		"no such key":            {Key: "never"},
		"no such version":        {Key: "never", VersionID: gone.VersionID},
		"deleted version":        gone,
		"version of another key": {Key: "other", VersionID: gone.VersionID},
		"impossible version":     {Key: "other", VersionID: "not-a-version"},
		"directory of a key":     {Key: "rec"},
	} {
		_, err := s.store.Stat(s.ctx, ref)
		s.wantError("stat, "+what, err, storage.ErrNotFound)
		_, err = s.store.Open(s.ctx, ref)
		s.wantError("open, "+what, err, storage.ErrNotFound)
		if ref.VersionID == "" {
			continue
		}
		s.wantError("lock, "+what, s.store.Lock(s.ctx, ref, s.until(storage.Governance, realLock)), storage.ErrNotFound)
		s.wantError("hold, "+what, s.store.Hold(s.ctx, ref, true), storage.ErrNotFound)
		if err := s.store.Delete(s.ctx, ref); err != nil {
			s.Errorf("delete, %s: %v", what, err)
		}
	}
	if got := s.listed(""); len(got) != 1 || got[0].Ref != other || got[0].LegalHold {
		s.Errorf("versions: %+v", got)
	}
}

func (s *suite) list() {
	want := make(map[string]storage.Info)
	var keys []string
	for _, key := range []string{"rec/b/1", "rec/a/1", "rec/a-b", "rec/a/2/x", "rec/ab", "rec/a0", "rec.d", "selftest/1", "rec/a.b"} {
		o := storage.PutOptions{Metadata: map[string]string{"id": "1"}, ContentType: "text/plain"}
		if strings.HasSuffix(key, "1") {
			o.Retention = s.until(storage.Governance, realLock)
		}
		want[key] = s.stat(s.put(key, "content of "+key, o))
		keys = append(keys, key)
	}
	s.must(s.store.Hold(s.ctx, want["rec/a-b"].Ref, true))
	held := s.stat(want["rec/a-b"].Ref) // some services take a hold for a change of the object
	if !held.LegalHold {
		s.Error("held, and the store does not say so")
	}
	want["rec/a-b"] = held

	slices.Sort(keys)
	for _, prefix := range []string{"", "rec", "rec/", "rec/a", "rec/a/", "rec/a/1", "rec/a-", "rec/zzz", "zzz", "s"} {
		var wantKeys, gotKeys []string
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				wantKeys = append(wantKeys, key)
			}
		}
		for _, info := range s.listed(prefix) {
			gotKeys = append(gotKeys, info.Key)
			if !same(info, want[info.Key]) {
				s.Errorf("list %q:\ngot  %+v\nwant %+v", prefix, info, want[info.Key])
			}
		}
		if !slices.Equal(gotKeys, wantKeys) {
			s.Errorf("list %q: got %q, want %q", prefix, gotKeys, wantKeys)
		}
		var named []string
		for v, err := range s.store.Versions(s.ctx, prefix) {
			s.must(err)
			named = append(named, v.Key)
			if !v.Current || v.Marker || v.Ref != want[v.Key].Ref {
				s.Errorf("versions of %q: %+v, want only %+v", prefix, v, want[v.Key].Ref)
			}
		}
		if !slices.Equal(named, wantKeys) {
			s.Errorf("versions of %q: got %q, want %q", prefix, named, wantKeys)
		}
	}
}

func (s *suite) listStops() {
	for i := range 5 {
		s.put(fmt.Sprintf("k/%d", i), "x", storage.PutOptions{})
	}
	n := 0
	for _, err := range s.store.List(s.ctx, "") {
		s.must(err)
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		s.Errorf("got %d versions before the break, want 2", n)
	}
	for _, err := range s.store.Versions(s.ctx, "k/") {
		s.must(err)
		if n++; n == 4 {
			break
		}
	}
	if n != 4 {
		s.Errorf("got %d names before the break, want 2", n-2)
	}
}
