package storagetest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/greffier/greffier/storage"
)

var modes = []storage.Mode{storage.Governance, storage.Compliance}

// listed gives every version, in order.
func (s *suite) listed(prefix string) []storage.Info {
	s.Helper()
	var all []storage.Info
	for info, err := range s.store.List(s.ctx, prefix) {
		s.must(err)
		all = append(all, info)
	}
	return all
}

// same says whether two descriptions of a version agree.
func same(a, b storage.Info) bool {
	return a.Ref == b.Ref && a.Size == b.Size && a.SHA256 == b.SHA256 && a.Modified.Equal(b.Modified) && a.ContentType == b.ContentType &&
		maps.Equal(a.Metadata, b.Metadata) && a.Retention.Equal(b.Retention) && a.LegalHold == b.LegalHold
}

// deniedDelete tries to delete a locked version, which must survive.
func (s *suite) deniedDelete(ref storage.Ref, content string) {
	s.Helper()
	s.wantError("delete under lock", s.store.Delete(s.ctx, ref), storage.ErrLocked)
	if got := s.read(ref); got != content {
		s.Errorf("read %q after a denied delete, want %q", got, content)
	}
}

func (s *suite) retentionAtPut() {
	for _, mode := range modes {
		key := "locked/" + string(mode)
		want := s.until(mode, time.Hour)
		ref := s.put(key, "content", storage.PutOptions{Retention: want})
		if got := s.stat(ref).Retention; !got.Equal(want) {
			s.Errorf("retention %v, want %v", got, want)
		}
		s.deniedDelete(ref, "content")
	}
	// A part of a second is rounded up.
	exact := storage.Retention{Mode: storage.Governance, Until: s.o.Now().Add(time.Hour).Truncate(time.Second).Add(time.Nanosecond)}
	ref := s.put("locked/rounded", "content", storage.PutOptions{Retention: exact})
	if got := s.stat(ref).Retention; !got.Until.Equal(exact.Until.Add(time.Second - time.Nanosecond)) {
		s.Errorf("retention %v, want %v rounded up", got, exact.Until)
	}
}

func (s *suite) retentionLater() {
	for _, mode := range modes {
		ref := s.put("later/"+string(mode), "content", storage.PutOptions{})
		if got := s.stat(ref).Retention; !got.IsZero() {
			s.Errorf("retention %v, want none", got)
		}
		want := s.until(mode, time.Hour)
		s.must(s.store.Lock(s.ctx, ref, want))
		if got := s.stat(ref).Retention; !got.Equal(want) {
			s.Errorf("retention %v, want %v", got, want)
		}
		s.deniedDelete(ref, "content")
	}
}

func (s *suite) retentionGrows() {
	for _, mode := range modes {
		other := modes[1-slices.Index(modes, mode)]
		ref := s.put("grows/"+string(mode), "content", storage.PutOptions{Retention: s.until(mode, 2*time.Hour)})
		first := s.stat(ref).Retention
		s.must(s.store.Lock(s.ctx, ref, first)) // the same again
		for what, r := range map[string]storage.Retention{
			"shorter":               {Mode: mode, Until: first.Until.Add(-time.Second)},
			"much shorter":          s.until(mode, 2*time.Second),
			"other mode":            {Mode: other, Until: first.Until},
			"other mode and longer": {Mode: other, Until: first.Until.Add(time.Hour)},
		} {
			s.wantError(string(mode)+", "+what, s.store.Lock(s.ctx, ref, r), storage.ErrLocked)
			if got := s.stat(ref).Retention; !got.Equal(first) {
				s.Fatalf("%s: retention became %v, was %v", what, got, first)
			}
		}
		longer := storage.Retention{Mode: mode, Until: first.Until.Add(time.Hour)}
		s.must(s.store.Lock(s.ctx, ref, longer))
		if got := s.stat(ref).Retention; !got.Equal(longer) {
			s.Errorf("retention %v, want %v", got, longer)
		}
		s.wantError("back to the first", s.store.Lock(s.ctx, ref, first), storage.ErrLocked)
		s.deniedDelete(ref, "content")

		// A Put of the same bytes may not weaken it, and is refused when it cannot strengthen it.
		s.put(ref.Key, "content", storage.PutOptions{Retention: first})
		if got := s.stat(ref).Retention; !got.Equal(longer) {
			s.Errorf("retention %v after a put with less, want %v", got, longer)
		}
	}
	_, err := s.store.Put(s.ctx, "grows/GOVERNANCE", strings.NewReader("content"), 7, storage.PutOptions{Retention: s.until(storage.Compliance, time.Hour)})
	s.wantError("put with COMPLIANCE over GOVERNANCE", err, storage.ErrLocked)
}

func (s *suite) badRetention() {
	ref := s.put("key", "content", storage.PutOptions{})
	now := s.o.Now()
	for what, r := range map[string]storage.Retention{
		"unknown mode": {Mode: "FOREVER", Until: now.Add(time.Hour)},
		"no mode":      {Until: now.Add(time.Hour)},
		"no end":       {Mode: storage.Compliance},
		"past":         {Mode: storage.Compliance, Until: now.Add(-time.Hour)},
		"too far":      {Mode: storage.Compliance, Until: now.AddDate(101, 0, 0)},
	} {
		s.wantError("Lock, "+what, s.store.Lock(s.ctx, ref, r), storage.ErrInvalid)
		_, err := s.store.Put(s.ctx, "other", strings.NewReader("x"), 1, storage.PutOptions{Retention: r})
		s.wantError("Put, "+what, err, storage.ErrInvalid)
	}
	s.wantError("Lock with nothing", s.store.Lock(s.ctx, ref, storage.Retention{}), storage.ErrInvalid)
	if got := s.listed(""); len(got) != 1 || !got[0].Retention.IsZero() {
		s.Errorf("versions: %+v, want one without retention", got)
	}
}

func (s *suite) deleteWhenUnlocked() {
	ref := s.put("dir/key", "content", storage.PutOptions{})
	below := s.put("dir/key-2", "below", storage.PutOptions{})
	s.must(s.store.Delete(s.ctx, ref))
	s.must(s.store.Delete(s.ctx, ref)) // again
	if got := s.listed(""); len(got) != 1 || got[0].Ref != below {
		s.Errorf("versions: %+v, want only %v", got, below)
	}
	// The key is free again, for a version of its own.
	next := s.put("dir/key", "other content", storage.PutOptions{})
	if next == ref {
		s.Errorf("version id %s was used again", ref.VersionID)
	}
	if got := s.read(next); got != "other content" {
		s.Errorf("read %q", got)
	}
	s.must(s.store.Delete(s.ctx, next))
	s.must(s.store.Delete(s.ctx, below))
	if got := s.listed(""); len(got) != 0 {
		s.Errorf("versions: %+v, want none", got)
	}
	for what, ref := range map[string]storage.Ref{"deleted": next, "current": {Key: "dir/key"}} {
		_, err := s.store.Stat(s.ctx, ref)
		s.wantError("stat "+what, err, storage.ErrNotFound)
	}
}

func (s *suite) deleteAfterExpiry() {
	short := make(map[storage.Ref]storage.Retention)
	for _, mode := range modes {
		ref := s.put("expires/"+string(mode), "content", storage.PutOptions{})
		r := s.until(mode, realLock)
		s.must(s.store.Lock(s.ctx, ref, r))
		s.wantError("delete", s.store.Delete(s.ctx, ref), storage.ErrLocked)
		short[ref] = r
	}
	extended := s.put("expires/extended", "content", storage.PutOptions{Retention: s.until(storage.Compliance, realLock)})
	long := s.until(storage.Compliance, 24*time.Hour)
	s.must(s.store.Lock(s.ctx, extended, long))

	var end time.Time
	for _, r := range short {
		end = latest(end, r.Until)
	}
	first := true
	for ref := range short {
		if first || s.o.Advance == nil {
			s.waitUnlocked(ref, short[ref].Until)
		} else {
			s.must(s.store.Delete(s.ctx, ref))
		}
		first = false
	}
	s.deniedDelete(extended, "content") // the first date does not release it
	if got := s.listed("expires/"); len(got) != 1 || got[0].Ref != extended {
		s.Errorf("versions: %+v, want only %v", got, extended)
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *suite) legalHold() {
	ref := s.put("held", "content", storage.PutOptions{})
	if s.stat(ref).LegalHold {
		s.Error("a new version is held")
	}
	for range 2 {
		s.must(s.store.Hold(s.ctx, ref, true))
		if !s.stat(ref).LegalHold {
			s.Error("no legal hold after setting it")
		}
	}
	s.deniedDelete(ref, "content")
	r := s.until(storage.Governance, time.Hour)
	s.must(s.store.Lock(s.ctx, ref, r)) // hold and retention stand beside each other
	if info := s.stat(ref); !info.LegalHold || !info.Retention.Equal(r) {
		s.Errorf("hold %t, retention %v, want true, %v", info.LegalHold, info.Retention, r)
	}
	for range 2 {
		s.must(s.store.Hold(s.ctx, ref, false))
		if info := s.stat(ref); info.LegalHold || !info.Retention.Equal(r) {
			s.Errorf("hold %t, retention %v, want false, %v", info.LegalHold, info.Retention, r)
		}
	}
	s.deniedDelete(ref, "content")

	free := s.put("freed", "content", storage.PutOptions{})
	s.must(s.store.Hold(s.ctx, free, true))
	s.must(s.store.Hold(s.ctx, free, false))
	s.must(s.store.Delete(s.ctx, free))
}

func (s *suite) deleteMarker() {
	r := s.until(storage.Governance, time.Hour)
	ref := s.put("marked", "content", storage.PutOptions{Retention: r, Metadata: map[string]string{"id": "1"}})
	before := s.stat(ref)
	s.o.Mark(s.T, s.store, "marked")

	_, err := s.store.Stat(s.ctx, storage.Ref{Key: "marked"})
	s.wantError("stat of the hidden key", err, storage.ErrNotFound)
	_, err = s.store.Open(s.ctx, storage.Ref{Key: "marked"})
	s.wantError("open of the hidden key", err, storage.ErrNotFound)
	if after := s.stat(ref); !same(before, after) {
		s.Errorf("Stat by version id: %+v, was %+v", after, before)
	}
	if got := s.listed(""); len(got) != 1 || !same(got[0], before) {
		s.Errorf("List: %+v, want only %+v", got, before)
	}
	s.versionsAre(storage.Version{Ref: storage.Ref{Key: "marked"}, Current: true, Marker: true}, storage.Version{Ref: ref})
	s.deniedDelete(ref, "content")
	longer := storage.Retention{Mode: r.Mode, Until: r.Until.Add(time.Hour)}
	s.must(s.store.Lock(s.ctx, ref, longer))
	s.must(s.store.Hold(s.ctx, ref, true))
	if info := s.stat(ref); !info.Retention.Equal(longer) || !info.LegalHold {
		s.Errorf("Stat by version id: %+v", info)
	}

	// The key is free: another version may be written, and the hidden one stays.
	next := s.put("marked", "other content", storage.PutOptions{})
	got := s.listed("")
	if len(got) != 2 || got[0].Ref != next || got[1].Ref != ref {
		s.Errorf("List: %+v, want %v and then %v", got, next, ref)
	}
	if a, b := s.read(ref), s.read(next); a != "content" || b != "other content" {
		s.Errorf("read %q and %q", a, b)
	}
	s.versionsAre(storage.Version{Ref: next, Current: true}, storage.Version{Ref: storage.Ref{Key: "marked"}, Marker: true}, storage.Version{Ref: ref})
}

// versionsAre expects the versions of all keys. The ids of markers do not matter.
func (s *suite) versionsAre(want ...storage.Version) {
	s.Helper()
	var got []storage.Version
	for v, err := range s.store.Versions(s.ctx, "") {
		s.must(err)
		if v.Marker {
			v.VersionID = ""
		}
		got = append(got, v)
	}
	if !slices.Equal(got, want) {
		s.Errorf("versions: %+v, want %+v", got, want)
	}
}
