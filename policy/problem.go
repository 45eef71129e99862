package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Problem is something wrong with a policy document, and where.
type Problem struct {
	Line, Column int    // both from 1; 0 when it concerns the whole document
	Path         string // "classes.quality.retention"; may be empty
	Message      string
}

// String gives "line:column: path: message".
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// An Error is a policy or another document that does not load, with every problem that was found, in the document's order.
type Error struct {
	File     string // may be empty
	What     string // what the document is; empty: a policy
	Problems []Problem
}

// Error gives one problem a line, each prefixed with the file's name where it is known.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
		if e.File != "" {
			lines[i] = e.File + ":" + lines[i]
		}
	}
	return cmp.Or(e.What, "policy") + " does not load:\n" + strings.Join(lines, "\n")
}

func sortProblems(ps []Problem) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
