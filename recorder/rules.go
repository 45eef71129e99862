package recorder

import (
	"maps"
	"slices"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// rules is the policy in force now. A call goes on under the one that decided about it.
func (r *Recorder) rules() *policy.Policy { return r.cfg.Policy() }

// facts are what is known of a communication session now.
func (r *Recorder) facts(s *session, x callFacts, ch siprec.Change) policy.Facts {
	f := policy.Facts{
		SRC: s.in.SRC, Metadata: s.metadataOf(x, ch), CallKey: x.key, Headers: s.in.Headers, Labels: x.labels, Began: x.began,
		Tenant: r.cfg.Profiles[s.in.SRC].Tenant, Trunk: r.cfg.Profiles[s.in.SRC].Trunk,
	}
	f.Directory = r.directory()
	if r.cfg.Objectors != nil {
		f.Objectors = r.cfg.Objectors()
	}
	return f
}

// directory is the one in force now; nil when there is none.
func (r *Recorder) directory() *policy.Directory {
	if r.cfg.Directory == nil {
		return nil
	}
	return r.cfg.Directory()
}

// metadataOf is what the metadata say of a communication session. Where the recording session has carried several, what was said of
// the recording session before this one began says nothing of it.
func (s *session) metadataOf(x callFacts, ch siprec.Change) *siprec.Metadata {
	meta := s.metadata.Of(x.scope)
	if x.named && len(s.metadata.Sessions) > 1 {
		if ch.Metadata != nil {
			s.heed(x.scope, ch.Metadata)
		}
		meta.Extensions = slices.DeleteFunc(slices.Clone(meta.Extensions), func(e siprec.Extension) bool {
			return e.Parent == "" && !slices.Contains(s.said[x.scope], e)
		})
	}
	return &meta
}

// heed adds what a document says of the recording session to what counts for a communication session that goes on.
func (s *session) heed(scope siprec.SessionID, d *siprec.Document) {
	for _, e := range d.Extensions {
		if e.Parent == "" && !slices.Contains(s.said[scope], e) {
			if s.said == nil {
				s.said = map[siprec.SessionID][]siprec.Extension{}
			}
			s.said[scope] = append(slices.Clone(s.said[scope]), e)
		}
	}
}

// callFacts are what tells the facts of one call from those of its session.
type callFacts struct {
	scope  siprec.SessionID
	named  bool
	key    string
	labels []siprec.Label
	began  time.Time
}

// takeHeaders takes header fields, and tells whether any says something new.
func (s *session) takeHeaders(headers map[string]string) (news bool) {
	now := maps.Clone(s.in.Headers) // that of the invitation may be in use
	for name, value := range headers {
		if before, there := now[name]; there && before == value {
			continue
		}
		if news = true; now == nil {
			now = map[string]string{}
		}
		now[name] = value
	}
	s.in.Headers = now
	return news
}
