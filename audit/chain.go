package audit

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// A Problem is a way in which a log is not what was written.
type Problem string

// The problems that Verify tells apart.
const (
	Altered    Problem = "altered"    // an entry is not what its neighbour or the head says
	Removed    Problem = "removed"    // entries are missing between two others, or stand elsewhere
	Reordered  Problem = "reordered"  // an entry stands behind a later one
	Duplicated Problem = "duplicated" // an entry stands there twice
	Truncated  Problem = "truncated"  // entries are missing at the end
	Garbage    Problem = "garbage"    // bytes that are no entry
	BadHead    Problem = "head"       // the head file is missing or is not what was written
)

// A VerifyError says where a log is not what was written, and how.
type VerifyError struct {
	Seq     int64 // of the first entry that is not where or what it should be
	Problem Problem
	Detail  string
}

func (e *VerifyError) Error() string {
	return fmt.Sprintf("audit log entry %d: %s: %s", e.Seq, e.Problem, e.Detail)
}

// A chain is the state of a log behind some entry: all that is needed to judge and to make the next one.
type chain struct {
	entries int64
	bytes   int64 // length of the file with them
	last    Hash
	edge    []tlog.Hash // of the largest complete subtrees, from the left
}

// add takes an entry that is known to be the next one.
func (c *chain) add(e Entry) {
	h := tlog.RecordHash(e.Line)
	for n := c.entries; n&1 == 1; n >>= 1 {
		h = tlog.NodeHash(c.edge[len(c.edge)-1], h)
		c.edge = c.edge[:len(c.edge)-1]
	}
	c.edge = append(c.edge, h)
	c.entries++
	c.bytes += int64(len(e.Line)) + 1
	c.last = e.Hash
}

// root is the Merkle tree hash, RFC 6962 section 2.1.
func (c *chain) root() Hash {
	if len(c.edge) == 0 {
		h, _ := tlog.TreeHash(0, nil) // cannot fail: it reads nothing
		return Hash(h)
	}
	h := c.edge[len(c.edge)-1]
	for i := len(c.edge) - 2; i >= 0; i-- {
		h = tlog.NodeHash(c.edge[i], h)
	}
	return Hash(h)
}

// clone returns a chain that does not change with this one.
func (c chain) clone() chain {
	c.edge = slices.Clone(c.edge)
	return c
}

// next judges the line that follows and takes it.
func (c *chain) next(line []byte) (Entry, error) {
	e, err := parseLine(line)
	if err != nil {
		return e, &VerifyError{c.entries, Garbage, err.Error()}
	}
	n := c.entries
	switch {
	case e.Seq == n && e.PrevHash == c.last:
	case e.Seq == n && n == 0:
		return e, &VerifyError{n, Altered, "the first entry must not refer to one before it"}
	case e.Seq == n:
		return e, &VerifyError{n - 1, Altered, fmt.Sprintf("entry %d says that its line has another hash; one of the two was changed", n)}
	case e.Seq > n:
		return e, &VerifyError{n, Removed, fmt.Sprintf("entry %d stands in its place", e.Seq)}
	case e.Hash == c.last:
		return e, &VerifyError{e.Seq, Duplicated, "it stands there twice in a row"}
	default:
		return e, &VerifyError{e.Seq, Reordered, fmt.Sprintf("it stands again, or only, behind entry %d", n-1)}
	}
	if (n == 0) != (e.Type == TypeCreated) {
		return e, &VerifyError{n, Altered, "the first entry of a log and no other has the type " + TypeCreated}
	}
	c.add(e)
	return e, nil
}
