package storage

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	dirMetaFormat = 1
	// maxDirMetaBytes is far above what the limits on names and metadata allow.
	maxDirMetaBytes = 64 << 10
)

// dirMeta is meta.json: see the package documentation.
type dirMeta struct {
	Format      int               `json:"format"`
	Key         string            `json:"key"`
	VersionID   string            `json:"version_id"`
	Size        int64             `json:"size"`
	SHA256      string            `json:"sha256"`
	Modified    time.Time         `json:"modified"`
	ContentType string            `json:"content_type,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Retention   *dirRetention     `json:"retention,omitempty"`
	LegalHold   bool              `json:"legal_hold,omitempty"`
}

type dirRetention struct {
	Mode  Mode      `json:"mode"`
	Until time.Time `json:"until"`
}

func (m *dirMeta) retention() Retention {
	if m.Retention == nil {
		return Retention{}
	}
	return Retention{Mode: m.Retention.Mode, Until: m.Retention.Until}
}

func (m *dirMeta) setRetention(r Retention) {
	m.Retention = nil
	if !r.IsZero() {
		m.Retention = &dirRetention{Mode: r.Mode, Until: r.Until}
	}
}

func (m *dirMeta) info() Info {
	return Info{
		Ref: Ref{Key: m.Key, VersionID: m.VersionID}, Size: m.Size, SHA256: m.SHA256, Modified: m.Modified,
		ContentType: m.ContentType, Metadata: m.Metadata, Retention: m.retention(), LegalHold: m.LegalHold,
	}
}

func (m *dirMeta) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode object metadata: %w", err)
	}
	return append(b, '\n'), nil
}

// parseDirMeta reads meta.json strictly: a retention that is misread is worse than one that is not read at all.
func parseDirMeta(b []byte) (*dirMeta, error) {
	if len(b) > maxDirMetaBytes {
		return nil, fmt.Errorf("%w: metadata file of %d bytes", ErrMismatch, len(b))
	}
	var format struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &format); err != nil {
		return nil, fmt.Errorf("%w: metadata file: %w", ErrMismatch, err)
	}
	if format.Format != dirMetaFormat {
		return nil, fmt.Errorf("%w: metadata file has format %d, this version of the program reads %d", ErrMismatch, format.Format, dirMetaFormat)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	m := new(dirMeta)
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%w: metadata file: %w", ErrMismatch, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: metadata file has bytes after its end", ErrMismatch)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: metadata file: %w", ErrMismatch, err)
	}
	return m, nil
}

func (m *dirMeta) check() error {
	if err := checkPut(m.Key, m.Size, PutOptions{
		ContentType: m.ContentType, Metadata: m.Metadata, SHA256: m.SHA256, Retention: m.retention(),
	}); err != nil {
		return err
	}
	switch r := m.retention(); {
	case !isDirVersion(m.VersionID):
		return fmt.Errorf("version id %.80q", m.VersionID)
	case m.SHA256 == "":
		return errors.New("no sha256")
	case m.Modified.IsZero():
		return errors.New("no time of writing")
	case m.Retention != nil && r.IsZero(), r.Until.Nanosecond() != 0:
		return fmt.Errorf("retention %v", r)
	}
	m.Modified = m.Modified.UTC()
	if m.Retention != nil {
		m.Retention.Until = m.Retention.Until.UTC()
	}
	return nil
}

// dirVersionBytes is the length of a version id in bytes, half of it time and half random.
const dirVersionBytes = 16

func isDirVersion(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == dirVersionBytes && hex.EncodeToString(b) == s
}
