package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
)

// ErrNoLifecycle: the service has no lifecycle rules.
var ErrNoLifecycle = errors.New("service has no lifecycle rules")

// Lifecycle reads the bucket's rules. A service without any such thing is ErrNoLifecycle.
func (s *S3) Lifecycle(ctx context.Context) (Lifecycle, error) {
	rules, err := s.lifecycle(ctx)
	if err != nil {
		return Lifecycle{}, fmt.Errorf("read lifecycle rules of bucket %s: %w", s.bucket, err)
	}
	return readLifecycle(rules), nil
}

// ApplyLifecycle gives the bucket the rules wanted, beside those of others and those of classes that are not asked for any more, and
// reads them back. It gives what the bucket has then. A rule for uploads that the service refuses is left out.
func (s *S3) ApplyLifecycle(ctx context.Context, want []LifecycleRule) (Lifecycle, error) {
	have, err := s.applyLifecycle(ctx, want)
	if err != nil {
		return Lifecycle{}, fmt.Errorf("apply lifecycle rules to bucket %s: %w", s.bucket, err)
	}
	return have, nil
}

func (s *S3) applyLifecycle(ctx context.Context, want []LifecycleRule) (have Lifecycle, err error) {
	before, err := s.lifecycle(ctx)
	if err != nil {
		return have, err
	}
	others := slices.DeleteFunc(slices.Clone(before), isOurs)
	rules := PlanLifecycle(want, readLifecycle(before)).merged(want)
	if n := len(rules) + len(others); n > maxLifecycleRules {
		return have, fmt.Errorf("%w: %d rules, a bucket has at most %d", ErrInvalid, n, maxLifecycleRules)
	}
	set := func(ours []LifecycleRule) error {
		config := lifecycle.NewConfiguration()
		config.Rules = slices.Clone(others)
		for _, r := range ours {
			// What is kept is written as it was, whatever stands in it.
			i := slices.IndexFunc(before, func(b lifecycle.Rule) bool { return b.ID == r.ID && r.Altered })
			if i >= 0 {
				config.Rules = append(config.Rules, before[i])
			} else {
				config.Rules = append(config.Rules, writeRule(r))
			}
		}
		return s.core.SetBucketLifecycle(ctx, s.bucket, config)
	}
	err = set(rules)
	if status := minio.ToErrorResponse(err).StatusCode; status == http.StatusBadRequest || status == http.StatusNotImplemented {
		rules = slices.DeleteFunc(rules, LifecycleRule.optional)
		err = set(rules)
	}
	if err != nil {
		return have, s3Error(ctx, err)
	}
	after, err := s.lifecycle(ctx)
	if err != nil {
		return have, err
	}
	have = readLifecycle(after)
	if p := PlanLifecycle(rules, have); p.State != LifecycleInStep {
		return have, fmt.Errorf("%w: the service says it has other rules than those that were sent: %v", ErrMismatch, p.Changes)
	}
	if is := readLifecycle(others); !slices.Equal(is.Others, have.Others) {
		return have, fmt.Errorf("%w: the rules of others were %q, and are %q", ErrMismatch, is.Others, have.Others)
	}
	return have, nil
}

// lifecycle asks for the rules; a bucket that never had any has none.
func (s *S3) lifecycle(ctx context.Context) ([]lifecycle.Rule, error) {
	config, err := s.core.GetBucketLifecycle(ctx, s.bucket)
	if err == nil {
		return config.Rules, nil
	}
	switch response := minio.ToErrorResponse(err); {
	case response.Code == "NoSuchLifecycleConfiguration":
		return nil, nil
	case response.StatusCode == http.StatusNotImplemented || response.Code == "NotImplemented" || response.StatusCode == http.StatusMethodNotAllowed:
		return nil, fmt.Errorf("%w (%d %s)", ErrNoLifecycle, response.StatusCode, response.Code)
	}
	return nil, s3Error(ctx, err)
}

func isOurs(r lifecycle.Rule) bool { return strings.HasPrefix(r.ID, lifecycleOurs) }

// readLifecycle sorts a bucket's rules.
func readLifecycle(rules []lifecycle.Rule) (out Lifecycle) {
	for _, r := range rules {
		if isOurs(r) {
			out.Ours = append(out.Ours, readRule(r))
			continue
		}
		out.Others = append(out.Others, r.ID)
		if covers(r) {
			out.Covering = append(out.Covering, r.ID)
		}
	}
	return out
}

const lifecycleEnabled = "Enabled"

// readRule reads a rule of ours. What we would not have written so is called altered.
func readRule(r lifecycle.Rule) LifecycleRule {
	out := LifecycleRule{
		ID: r.ID, Prefix: prefixOf(r), Days: int(r.Expiration.Days), NoncurrentDays: int(r.NoncurrentVersionExpiration.NoncurrentDays),
		Markers: r.Expiration.IsDeleteMarkerExpirationEnabled(), AbortDays: int(r.AbortIncompleteMultipartUpload.DaysAfterInitiation),
	}
	f := r.RuleFilter
	out.Altered = r.Status != lifecycleEnabled || !f.And.IsEmpty() || !f.Tag.IsEmpty() || f.ObjectSizeGreaterThan != 0 || f.ObjectSizeLessThan != 0 ||
		!r.Transition.IsNull() || !r.NoncurrentVersionTransition.IsStorageClassEmpty() || r.NoncurrentVersionExpiration.NewerNoncurrentVersions != 0 ||
		!r.Expiration.IsDateNull() || !r.AllVersionsExpiration.IsNull() || !r.DelMarkerExpiration.IsNull() || bool(r.Expiration.DeleteAll)
	return out
}

// writeRule is a rule as the service takes it.
func writeRule(r LifecycleRule) lifecycle.Rule {
	out := lifecycle.Rule{ID: r.ID, Status: lifecycleEnabled, RuleFilter: lifecycle.Filter{Prefix: r.Prefix}}
	out.Expiration.Days = lifecycle.ExpirationDays(r.Days)
	out.Expiration.DeleteMarker = lifecycle.ExpireDeleteMarker(r.Markers)
	out.NoncurrentVersionExpiration.NoncurrentDays = lifecycle.ExpirationDays(r.NoncurrentDays)
	out.AbortIncompleteMultipartUpload.DaysAfterInitiation = lifecycle.ExpirationDays(r.AbortDays)
	return out
}

func prefixOf(r lifecycle.Rule) string {
	for _, p := range []string{r.RuleFilter.Prefix, r.RuleFilter.And.Prefix} {
		if p != "" {
			return p
		}
	}
	return r.Prefix
}

// covers tells a rule of others that removes something where ours stands.
func covers(r lifecycle.Rule) bool {
	p := prefixOf(r)
	removes := !r.Expiration.IsDaysNull() || !r.Expiration.IsDateNull() || !r.NoncurrentVersionExpiration.IsDaysNull() || !r.AllVersionsExpiration.IsNull()
	for _, ours := range []string{RecordingPrefix, DocumentPrefix} {
		if r.Status == lifecycleEnabled && removes && (strings.HasPrefix(ours, p) || strings.HasPrefix(p, ours)) {
			return true
		}
	}
	return false
}
