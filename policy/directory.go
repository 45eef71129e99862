package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"go.yaml.in/yaml/v3"

	"github.com/greffier/greffier/siprec"
)

// Limits of a directory.
const (
	MaxDirectoryBytes = 32 << 20 // of the document
	MaxUsers          = 100_000
	maxGroupsOfUser   = 100
)

// A User is one of ours, as the directory knows them.
type User struct {
	ID           string   `json:"id"`
	Addresses    []string `json:"addresses,omitempty"` // addresses of record, such as sip:alice@corp.example
	Numbers      []string `json:"numbers,omitempty"`   // extensions, and numbers in E.164
	Groups       []string `json:"groups,omitempty"`    // sorted
	Protected    bool     `json:"protected,omitempty"` // never recorded, whatever a rule says (R44)
	Acknowledged []string `json:"acknowledged,omitempty"`

	groups ref.Val // Groups as conditions see them
}

// A Directory says who the users are, and which groups they are in. It does not change and is safe for concurrent use: a
// directory that is read again is another one. A nil *Directory knows nobody.
type Directory struct {
	digest    string
	users     []*User
	byAddress map[string]*User // "alice@corp.example", the host in lower case
	byNumber  map[string]*User
}

// LoadDirectory reads the directory in a file as ParseDirectory does.
func LoadDirectory(path string) (*Directory, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read directory: %w", err)
	}
	d, err := ParseDirectory(b)
	if e, ok := err.(*Error); ok {
		e.File = path
	}
	return d, err
}

// ParseDirectory reads a directory: a YAML document with a list of users. What is wrong with it is an *Error with every problem.
//
//	version: 1
//	users:
//	  - id: bmartin                             # appears in decisions' counts, never in what is kept of a call
//	    addresses: [sip:bmartin@corp.example]   # or numbers, or both: what the SRC calls them
//	    numbers: ["1001", "+33140000001"]
//	    groups: [sales, paris]
//	    protected: true                         # never recorded: works council, doctor, whistle-blowing line
//	    acknowledged: [NOTICE-2026-01]          # notices that they have acknowledged
func ParseDirectory(b []byte) (*Directory, error) {
	sum := sha256.Sum256(b)
	d := &Directory{digest: hex.EncodeToString(sum[:]), byAddress: make(map[string]*User), byNumber: make(map[string]*User)}
	r := &reader{what: "directory", limit: MaxDirectoryBytes}
	if root := r.document(b); root != nil {
		d.readRoot(r, root)
	}
	if len(r.problems) > 0 {
		sortProblems(r.problems)
		return nil, &Error{What: "directory", Problems: r.problems}
	}
	return d, nil
}

func (d *Directory) readRoot(r *reader, root *yaml.Node) {
	seen := r.mapping(root, "", map[string]func(*yaml.Node, string){
		"version": func(n *yaml.Node, path string) {
			if s, ok := r.scalar(n, path, "1", "!!int"); ok && s != "1" {
				r.problem(n, path, "version %s is not known to this program: it reads version 1", s)
			}
		},
		"users": func(n *yaml.Node, path string) {
			ids := make(map[string]int)
			r.list(n, path, MaxUsers, func(n *yaml.Node, path string) {
				u := d.readUser(r, n, path)
				if line, twice := ids[u.ID]; twice && u.ID != "" {
					r.problem(n, path, "user %q was given before, in line %d", u.ID, line)
				}
				ids[u.ID] = n.Line
				d.users = append(d.users, u)
			})
		},
	})
	if seen != nil && !seen["users"] {
		r.problem(root, "", "users are missing: a directory that knows nobody says so with users: []")
	}
}

func (d *Directory) readUser(r *reader, n *yaml.Node, path string) *User {
	u := &User{}
	seen := r.mapping(n, path, map[string]func(*yaml.Node, string){
		"id": func(n *yaml.Node, path string) { u.ID = r.text(n, path) },
		"addresses": func(n *yaml.Node, path string) {
			r.list(n, path, maxList, func(n *yaml.Node, path string) { d.readAddress(r, n, path, u) })
		},
		"numbers": func(n *yaml.Node, path string) {
			r.list(n, path, maxList, func(n *yaml.Node, path string) { d.readNumber(r, n, path, u) })
		},
		"groups":       func(n *yaml.Node, path string) { u.Groups = r.names(n, path, maxGroupsOfUser) },
		"protected":    func(n *yaml.Node, path string) { u.Protected = r.boolean(n, path) },
		"acknowledged": func(n *yaml.Node, path string) { u.Acknowledged = r.names(n, path, maxList) },
	})
	if seen != nil && !seen["id"] {
		r.problem(n, join(path, "id"), "is missing: quotas and draws count by it")
	}
	if seen != nil && !seen["addresses"] && !seen["numbers"] {
		r.problem(n, path, "has neither addresses nor numbers: no call would be known to be theirs")
	}
	u.groups = types.NewStringList(types.DefaultTypeAdapter, u.Groups)
	return u
}

func (d *Directory) readAddress(r *reader, n *yaml.Node, path string, u *User) {
	s := r.text(n, path)
	a := ParseAddress(s)
	switch {
	case s == "":
	case a.User == "" || a.Host == "":
		r.problem(n, path, "%q is not an address: write one such as sip:alice@corp.example", s)
	case d.byAddress[addressKey(a)] != nil:
		r.problem(n, path, "%q is user %s's already", s, d.byAddress[addressKey(a)].ID)
	default:
		d.byAddress[addressKey(a)] = u
		u.Addresses = append(u.Addresses, s)
	}
}

func (d *Directory) readNumber(r *reader, n *yaml.Node, path string, u *User) {
	s, ok := r.scalar(n, path, "a number in quotes", "!!str")
	plain := number(s)
	switch {
	case !ok:
	case plain == "":
		r.problem(n, path, "%q is not a number: write an extension, or +33140000001", s)
	case d.byNumber[plain] != nil:
		r.problem(n, path, "%q is user %s's already", s, d.byNumber[plain].ID)
	default:
		d.byNumber[plain] = u
		u.Numbers = append(u.Numbers, plain)
	}
}

func addressKey(a Address) string { return a.User + "@" + a.Host }

// names reads a list of texts, each once, and sorts it.
func (r *reader) names(n *yaml.Node, path string, limit int) []string {
	var names []string
	r.list(n, path, limit, func(n *yaml.Node, path string) {
		if s := r.text(n, path); s != "" {
			names = append(names, s)
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// Digest is the SHA-256 of the directory's document in hexadecimal; "" for a nil *Directory.
func (d *Directory) Digest() string {
	if d == nil {
		return ""
	}
	return d.digest
}

// Users is how many there are.
func (d *Directory) Users() int {
	if d == nil {
		return 0
	}
	return len(d.users)
}

// All gives the users, in the order of the document. They must not be changed.
func (d *Directory) All() iter.Seq[*User] {
	if d == nil {
		return func(func(*User) bool) {}
	}
	return slices.Values(d.users)
}

// find gives the user whom any of a participant's addresses belongs to, or nil. National numbers are those of country.
func (d *Directory) find(p siprec.Participant, country string) *User {
	if d == nil {
		return nil
	}
	for _, name := range p.Names {
		if name.AOR == "" {
			continue
		}
		if u := d.findAddress(ParseAddress(name.AOR), country); u != nil {
			return u
		}
	}
	return nil
}

func (d *Directory) findAddress(a Address, country string) *User {
	if u := d.byAddress[addressKey(a)]; u != nil && a.User != "" {
		return u
	}
	if a.Number == "" {
		return nil
	}
	if u := d.byNumber[a.Number]; u != nil {
		return u
	}
	if strings.HasPrefix(a.Number, "+") {
		return nil
	}
	if e := e164Of(a.Number, country); e != "" {
		return d.byNumber[e]
	}
	return nil
}

// hasAcknowledged tells whether the user has acknowledged a notice.
func (u *User) hasAcknowledged(notice string) bool {
	_, found := slices.BinarySearch(u.Acknowledged, notice)
	return found
}
