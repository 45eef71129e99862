package recorder

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
)

// AnalysisFormat is the format version that stands first in every stored document.
const AnalysisFormat = "greffier-analysis/1"

// MaxAnalysis is the longest text of a document, in bytes: a transcript of a call of some hours.
const MaxAnalysis = 4 << 20

// maxAnalysisFile bounds what is read of a stored document: text grows when it is written as JSON.
const maxAnalysisFile = 6*MaxAnalysis + 4096

// An AnalysisKind says what a document is.
type AnalysisKind string

// The kinds of documents.
const (
	Note       AnalysisKind = "note"
	Evaluation AnalysisKind = "evaluation"
	Transcript AnalysisKind = "transcript"
)

// AnalysisKinds lists the kinds.
func AnalysisKinds() []AnalysisKind { return []AnalysisKind{Note, Evaluation, Transcript} }

// An Analysis is a document about a recording. It is an object of its own, with a key and a term of its own, and may outlive the sound
// (R15).
type Analysis struct {
	Format    string       `json:"format"`
	ID        string       `json:"id"`
	Recording string       `json:"recording"`
	Class     string       `json:"class"`
	Kind      AnalysisKind `json:"kind"`
	WrittenAt time.Time    `json:"written_at"`
	WrittenBy string       `json:"written_by"`
	// RetainUntil is the end of its term. It is set when it is written.
	RetainUntil time.Time `json:"retain_until"`
	// Exactly one of JSON and Text is there: what the document says.
	JSON json.RawMessage `json:"json,omitempty"`
	Text string          `json:"text,omitempty"`
	// Audio says what became of the sound, when the document is read; it is not stored.
	Audio catalog.State `json:"audio,omitempty"`
}

// check tells why a document cannot be written. The error wraps ErrRefused.
func (d *Analysis) check() error {
	switch {
	case !slices.Contains(AnalysisKinds(), d.Kind):
		return fmt.Errorf("%w: kind %q is none of %v", ErrRefused, d.Kind, AnalysisKinds())
	case (len(d.JSON) == 0) == (d.Text == ""):
		return fmt.Errorf("%w: a document is either text or JSON, and not empty", ErrRefused)
	case len(d.JSON)+len(d.Text) > MaxAnalysis:
		return fmt.Errorf("%w: the document has %d bytes, and may have %d: split it", ErrRefused, len(d.JSON)+len(d.Text), MaxAnalysis)
	case !utf8.ValidString(d.Text):
		return fmt.Errorf("%w: the text is not UTF-8: convert it", ErrRefused)
	case len(d.JSON) > 0 && !json.Valid(d.JSON):
		return fmt.Errorf("%w: the document is not valid JSON", ErrRefused)
	}
	return nil
}

// analysisKey is where a document lives: a folder of its own below its recording, so that it can be deleted by its prefix.
func analysisKey(d *Analysis, started time.Time) string {
	return fmt.Sprintf("%s%s/%s/%s/%s/%s.json.age", storage.DocumentPrefix, d.Class, started.UTC().Format("2006/01/02"), d.Recording, d.ID, d.ID)
}

// decodeAnalysis reads a stored document.
func decodeAnalysis(r io.Reader) (Analysis, error) {
	var d Analysis
	b, err := io.ReadAll(io.LimitReader(r, maxAnalysisFile+1))
	if err != nil {
		return d, fmt.Errorf("read document: %w", err)
	}
	if len(b) > maxAnalysisFile {
		return d, fmt.Errorf("document has more than %d bytes", maxAnalysisFile)
	}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&d); err != nil {
		return Analysis{}, fmt.Errorf("decode document: %w", err)
	}
	if d.Format != AnalysisFormat {
		return Analysis{}, fmt.Errorf("document has format %.40q; this program reads %q: use the version that wrote it", d.Format, AnalysisFormat)
	}
	d.Audio = ""
	return d, nil
}

// NewAnalysis makes a document of a file: JSON when it is a JSON object or list, text otherwise.
func NewAnalysis(kind AnalysisKind, content []byte) (Analysis, error) {
	d := Analysis{Kind: kind}
	if text := strings.TrimSpace(string(content)); json.Valid(content) && (strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")) {
		d.JSON = content
	} else {
		d.Text = string(content)
	}
	return d, d.check()
}
