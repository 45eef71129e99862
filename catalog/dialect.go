package catalog

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// ErrUnavailable says that the database cannot be worked with now: it is away, too slow, full, or somebody else keeps it. What was asked
// for may be asked for again later; whether a change was made that ended so is not known.
var ErrUnavailable = errors.New("catalog cannot be reached now")

// A dialect is what one database says, or does, in another way than the other. Every statement beside it is for both.
type dialect struct {
	migrations string // the directory of those that are its own
	goose      goose.Dialect

	// marks gives a statement with ? the database's own placeholders; nil: they are its own.
	marks func(string) string
	// lock is the statement that lets transactions about one subject follow one another; "": they do so anyway.
	lock string
	// warned is the condition of recordings that have a warning, and its argument.
	warned func(warning string) (condition string, arg any)
	// endsInside tells where a recursive query ends that is not to be followed to its end: inside it, or where its rows are read.
	endsInside bool
	// damage tells what the database finds wrong with itself.
	damage func(context.Context, pool) ([]string, error)
	// judge tells what an error of the database means.
	judge func(error) judgement
	// patience bounds how long a statement may take until its first row, and from one row to the next; 0: it does not end.
	patience time.Duration
}

// A judgement says what is to be done about an error.
type judgement int

const (
	isWrong judgement = iota // it will not be better another time
	isAway                   // the database cannot be worked with now
	isRaced                  // another transaction was in the way: try at once again
)

// numbered gives a statement the placeholders $1, $2 and so on in place of ?. Those within quotes stay, as names and text.
func numbered(statement string) string {
	var out strings.Builder
	n, quote := 0, rune(0)
	for _, r := range statement {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case r == '?':
			n++
			out.WriteByte('$')
			out.WriteString(strconv.Itoa(n))
			continue
		}
		out.WriteRune(r)
	}
	return out.String()
}

// storable gives text as both databases can hold it, and as JSON has it: what is no UTF-8, and the character 0, become U+FFFD.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
