package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits of a policy document.
const (
	MaxBytes   = 1 << 20 // of the document
	maxClasses = 1000
	maxRules   = 10_000
	maxList    = 10_000 // entries of any other list
)

// A reader walks a document strictly and collects what is wrong with it. Its methods report a problem themselves and give the
// zero value then, so that one pass finds all of them.
type reader struct {
	what     string   // what the document is; empty: a policy
	limit    int      // of the document, in bytes; 0: MaxBytes
	source   []string // lines of the document, for positions inside block scalars
	problems []Problem
	warnings []Problem
}

func (r *reader) problem(n *yaml.Node, path, format string, args ...any) {
	r.problems = append(r.problems, Problem{n.Line, n.Column, path, fmt.Sprintf(format, args...)})
}

func (r *reader) warning(n *yaml.Node, path, format string, args ...any) {
	r.warnings = append(r.warnings, Problem{n.Line, n.Column, path, fmt.Sprintf(format, args...)})
}

var yamlErrorLine = regexp.MustCompile(`^(?:line ([0-9]+): )?`)

// unreadable reports what the YAML library says of the document. Its line is often that of the enclosing block, so the
// line is looked for: the first after which no beginning of the document can be read any more.
func (r *reader) unreadable(err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	m := yamlErrorLine.FindStringSubmatch(message)
	line, _ := strconv.Atoi(m[1])
	if len(r.source) <= maxSearch {
		line = len(r.source)
		for line > 1 && !readable(strings.Join(r.source[:line-1], "\n")) {
			line--
		}
	}
	line = max(line, 1)
	text := r.source[line-1]
	column := len(text) - len(strings.TrimLeft(text, " \t")) + 1
	r.problems = append(r.problems, Problem{line, column, "", "cannot be read as YAML: " + message[len(m[0]):]})
}

// maxSearch is how many lines a document may have for the place of an error to be looked for.
const maxSearch = 1000

func readable(s string) bool {
	dec := yaml.NewDecoder(strings.NewReader(s))
	for {
		var n yaml.Node
		if err := dec.Decode(&n); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// document gives the root node of the only document in b, or nil.
func (r *reader) document(b []byte) *yaml.Node {
	if limit := cmp.Or(r.limit, MaxBytes); len(b) > limit {
		r.problems = append(r.problems, Problem{Message: fmt.Sprintf("is larger than %d bytes", limit)})
		return nil
	}
	r.source = strings.Split(string(b), "\n")
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		r.problems = append(r.problems, Problem{Message: r.emptiness()})
		return nil
	}
	if err == nil {
		if err = dec.Decode(&more); err == nil {
			r.problem(&more, "", "a second document begins here: a %s is one document", r.name())
			return nil
		}
	}
	if !errors.Is(err, io.EOF) {
		r.unreadable(err)
		return nil
	}
	return doc.Content[0]
}

func (r *reader) name() string { return cmp.Or(r.what, "policy") }

func (r *reader) emptiness() string {
	if r.what == "" {
		return "is empty: a policy needs rules"
	}
	return "is empty"
}

// mapping reads a mapping whose keys are those of fields, each at most once. It tells which keys were there, and gives nil
// when there is no mapping.
func (r *reader) mapping(n *yaml.Node, path string, fields map[string]func(*yaml.Node, string)) map[string]bool {
	seen := make(map[string]bool)
	read := r.entries(n, path, len(fields)+maxList, func(key, value *yaml.Node, name string) {
		readField, known := fields[name]
		if !known {
			r.problem(key, path, "unknown key %q (known: %s)", name, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
			return
		}
		seen[name] = true
		readField(value, join(path, name))
	})
	if !read {
		return nil
	}
	return seen
}

// entries reads a mapping with any keys, each at most once. It gives false when there is no mapping.
func (r *reader) entries(n *yaml.Node, path string, limit int, each func(key, value *yaml.Node, name string)) bool {
	if !r.plain(n, path) {
		return false
	}
	if n.Kind != yaml.MappingNode {
		r.problem(n, path, "must be a mapping of keys to values")
		return false
	}
	if len(n.Content)/2 > limit {
		r.problem(n, path, "has more than %d entries", limit)
		return false
	}
	lines := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Anchor != "" || key.ShortTag() == "!!merge" {
			r.problem(key, path, "keys must be plain text")
			continue
		}
		if line, twice := lines[key.Value]; twice {
			r.problem(key, path, "key %q was given before, in line %d", key.Value, line)
			continue
		}
		lines[key.Value] = key.Line
		each(key, value, key.Value)
	}
	return true
}

// list reads a sequence.
func (r *reader) list(n *yaml.Node, path string, limit int, each func(*yaml.Node, string)) {
	if !r.plain(n, path) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.problem(n, path, "must be a list")
		return
	}
	if len(n.Content) > limit {
		r.problem(n, path, "has more than %d entries", limit)
		return
	}
	for i, item := range n.Content {
		each(item, fmt.Sprintf("%s[%d]", path, i))
	}
}

// scalar reads a scalar with one of the tags as it was written.
func (r *reader) scalar(n *yaml.Node, path, want string, tags ...string) (string, bool) {
	if !r.plain(n, path) {
		return "", false
	}
	if n.Kind != yaml.ScalarNode || !slices.Contains(tags, n.ShortTag()) {
		r.problem(n, path, "must be %s", want)
		return "", false
	}
	return n.Value, true
}

// text reads text that is not blank.
func (r *reader) text(n *yaml.Node, path string) string {
	s, ok := r.scalar(n, path, "text (put it in quotes)", "!!str")
	if ok && strings.TrimSpace(s) == "" {
		r.problem(n, path, "must not be blank")
	}
	return strings.TrimSpace(s)
}

// reference reads text that may be empty.
func (r *reader) reference(n *yaml.Node, path string) string {
	s, _ := r.scalar(n, path, "text (put it in quotes)", "!!str", "!!null")
	return strings.TrimSpace(s)
}

func (r *reader) boolean(n *yaml.Node, path string) bool {
	s, _ := r.scalar(n, path, "true or false", "!!bool")
	return strings.EqualFold(s, "true")
}

// plain refuses what would make a policy mean more than it shows: anchors, aliases and tags.
func (r *reader) plain(n *yaml.Node, path string) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.problem(n, path, "anchors and aliases are not allowed in a %s: write the value out", r.name())
	case n.Style&yaml.TaggedStyle != 0:
		r.problem(n, path, "tags are not allowed in a %s", r.name())
	default:
		return true
	}
	return false
}

// choice reads one of several words.
func choice[T ~string](r *reader, n *yaml.Node, path string, words ...T) T {
	s, ok := r.scalar(n, path, "one of "+listOf(words), "!!str", "!!null")
	if ok && !slices.Contains(words, T(s)) {
		r.problem(n, path, "%q is not one of %s", s, listOf(words))
		return ""
	}
	return T(s)
}

func listOf[T ~string](words []T) string {
	parts := make([]string, len(words))
	for i, w := range words {
		parts[i] = string(w)
	}
	return strings.Join(parts, ", ")
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// inside gives the position in the document of a place in a scalar's value (line from 1, column from 0, in characters),
// and whether it is exact: folded and escaped text gives the scalar's own position.
func (r *reader) inside(n *yaml.Node, line, column int) (int, int, bool) {
	values := strings.Split(n.Value, "\n")
	if line < 1 || line > len(values) {
		return n.Line, n.Column, false
	}
	if n.Style == yaml.LiteralStyle {
		value := values[line-1]
		at := n.Line - 1 + line
		if at < len(r.source) {
			if indent, ok := strings.CutSuffix(strings.TrimRight(r.source[at], "\r"), value); ok {
				return at + 1, len(indent) + column + 1, true
			}
		}
		return n.Line, n.Column, false
	}
	quote := 0
	if n.Style == yaml.SingleQuotedStyle || n.Style == yaml.DoubleQuotedStyle {
		quote = 1
	}
	if n.Line < 1 || n.Line > len(r.source) || len(values) != 1 {
		return n.Line, n.Column, false
	}
	written := []rune(r.source[n.Line-1])
	from := n.Column - 1 + quote
	if from > len(written) || !strings.HasPrefix(string(written[from:]), n.Value) {
		return n.Line, n.Column, false
	}
	return n.Line, n.Column + quote + column, true
}
