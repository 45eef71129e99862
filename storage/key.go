package storage

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Limits on names. They are those that every backend can keep, with room for a prefix of the operator.
const (
	MaxKeyBytes     = 512 // S3 allows 1024
	MaxSegmentBytes = 128 // between slashes; file systems allow 255
	MaxSegments     = 16

	MaxVersionIDBytes = 1024

	MaxMetadataEntries   = 32
	MaxMetadataNameBytes = 64
	MaxMetadataBytes     = 1900 // names and values together; S3 allows 2 KiB, of which our own entry needs some
	MaxContentTypeBytes  = 128
)

// metaSHA256 is the metadata name under which S3 keeps the hash of the whole object.
const metaSHA256 = "sha256"

// CheckKey says whether key can name an object: segments of A-Z a-z 0-9 . _ - joined by single slashes, none of them empty or
// beginning with a dot. Such a key is the same on every file system and in every URL. The error wraps ErrInvalid.
//
// Do not use one key as the directory of another ("a" and "a/b"): MinIO keeps both but lists only the first.
func CheckKey(key string) error {
	if key == "" {
		return fmt.Errorf("%w: empty key", ErrInvalid)
	}
	if len(key) > MaxKeyBytes {
		return fmt.Errorf("%w: key of %d bytes, at most %d are allowed", ErrInvalid, len(key), MaxKeyBytes)
	}
	segments := 0
	for segment := range strings.SplitSeq(key, "/") {
		segments++
		switch {
		case segment == "":
			return fmt.Errorf("%w: key %q has an empty segment", ErrInvalid, key)
		case len(segment) > MaxSegmentBytes:
			return fmt.Errorf("%w: key has a segment of %d bytes, at most %d are allowed", ErrInvalid, len(segment), MaxSegmentBytes)
		case segment[0] == '.':
			return fmt.Errorf("%w: key %q has a segment that begins with a dot", ErrInvalid, key)
		}
		if i := strings.IndexFunc(segment, notKeyRune); i >= 0 {
			return fmt.Errorf("%w: key %q has a character other than A-Z a-z 0-9 . _ -", ErrInvalid, key)
		}
	}
	if segments > MaxSegments {
		return fmt.Errorf("%w: key of %d segments, at most %d are allowed", ErrInvalid, segments, MaxSegments)
	}
	return nil
}

// checkPrefix says whether prefix can be the beginning of a key.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	// A key may be cut anywhere: after a slash, one more character makes it whole.
	whole := prefix
	if strings.HasSuffix(whole, "/") {
		whole += "x"
	}
	if err := CheckKey(whole); err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	return nil
}

func notKeyRune(r rune) bool { return !alphanumeric(r) && r != '.' && r != '_' && r != '-' }

func alphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// CheckMetadata says whether m can go with an object: names of a-z 0-9 - that begin with a letter, values of printable ASCII
// without space at the ends, as they travel in HTTP headers. The name "sha256" is ours. The error wraps ErrInvalid.
func CheckMetadata(m map[string]string) error {
	if len(m) > MaxMetadataEntries {
		return fmt.Errorf("%w: %d metadata entries, at most %d are allowed", ErrInvalid, len(m), MaxMetadataEntries)
	}
	total := 0
	for name, value := range m {
		total += len(name) + len(value)
		if name == metaSHA256 {
			return fmt.Errorf("%w: metadata name %q is reserved", ErrInvalid, name)
		}
		if !metadataName(name) {
			return fmt.Errorf("%w: metadata name %q is not 1 to %d of a-z 0-9 - beginning with a letter", ErrInvalid, name, MaxMetadataNameBytes)
		}
		if !metadataValue(value) {
			return fmt.Errorf("%w: value of metadata %q is empty, not printable ASCII, or has space at its ends", ErrInvalid, name)
		}
	}
	if total > MaxMetadataBytes {
		return fmt.Errorf("%w: %d bytes of metadata, at most %d are allowed", ErrInvalid, total, MaxMetadataBytes)
	}
	return nil
}

func metadataName(name string) bool {
	if name == "" || len(name) > MaxMetadataNameBytes || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return true
}

func metadataValue(value string) bool {
	// RFC 2047 words would be decoded on the way back.
	if value == "" || strings.TrimSpace(value) != value || strings.Contains(value, "=?") {
		return false
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}

func checkContentType(s string) error {
	if len(s) > MaxContentTypeBytes || s != "" && !metadataValue(s) {
		return fmt.Errorf("%w: content type %.80q", ErrInvalid, s)
	}
	return nil
}

func checkSHA256(s string) error {
	if !isSHA256(s) {
		return fmt.Errorf("%w: SHA-256 %.80q is not 64 lower-case hexadecimal digits", ErrInvalid, s)
	}
	return nil
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && s == strings.ToLower(s)
}

// checkRef checks a Ref whose VersionID may be empty.
func checkRef(ref Ref) error {
	if err := CheckKey(ref.Key); err != nil {
		return err
	}
	if len(ref.VersionID) > MaxVersionIDBytes {
		return fmt.Errorf("%w: version id of %d bytes", ErrInvalid, len(ref.VersionID))
	}
	for i := range len(ref.VersionID) {
		if c := ref.VersionID[i]; c <= ' ' || c > '~' {
			return fmt.Errorf("%w: version id %.80q", ErrInvalid, ref.VersionID)
		}
	}
	return nil
}

// checkVersion checks a Ref that must name one version.
func checkVersion(ref Ref) error {
	if ref.VersionID == "" {
		return fmt.Errorf("%w: no version id for %s", ErrInvalid, ref.Key)
	}
	return checkRef(ref)
}

// checkPut checks everything about a Put but its bytes and its clock.
func checkPut(key string, size int64, o PutOptions) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if size < 0 {
		return fmt.Errorf("%w: size %d", ErrInvalid, size)
	}
	if err := checkContentType(o.ContentType); err != nil {
		return err
	}
	if o.SHA256 != "" {
		if err := checkSHA256(o.SHA256); err != nil {
			return err
		}
	}
	if err := CheckMetadata(o.Metadata); err != nil {
		return err
	}
	return o.Retention.check()
}
