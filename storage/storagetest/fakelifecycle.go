package storagetest

import (
	"slices"
	"strings"
	"time"

	"github.com/greffier/greffier/storage"
)

// day is what lifecycle rules count in.
const day = 24 * time.Hour

// RunLifecycle does what a service does by its rules once a day, by the store's clock: what is older than a rule's days gets a delete marker,
// what a marker has hidden for its days goes if no lock is left, and markers go that hide nothing. Ages are rounded up to midnight, as AWS
// says.
func (f *Fake) RunLifecycle(rules []storage.LifecycleRule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	due := func(from time.Time, days int) bool {
		return days > 0 && !now.Before(from.Add(time.Duration(days)*day+day-1).Truncate(day))
	}
	for key := range f.versions {
		for _, rule := range rules {
			if !strings.HasPrefix(key, rule.Prefix) {
				continue
			}
			all := f.versions[key]
			if v := f.current(key); v != nil && due(v.info.Modified, rule.Days) {
				all = append(all, &fakeVersion{marker: true, info: storage.Info{Modified: now}})
			}
			var left []*fakeVersion
			for i, v := range all {
				hidden := i < len(all)-1 && due(all[i+1].info.Modified, rule.NoncurrentDays)
				if !hidden || v.info.LegalHold || v.info.Retention.Active(now) {
					left = append(left, v)
				}
			}
			if rule.Markers && !slices.ContainsFunc(left, func(v *fakeVersion) bool { return !v.marker }) {
				left = nil
			}
			f.versions[key] = left
		}
		if len(f.versions[key]) == 0 {
			delete(f.versions, key)
		}
	}
}
