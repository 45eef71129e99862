package policy

import (
	"errors"
	"net/netip"
	"net/url"
	"reflect"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/greffier/greffier/siprec"
)

// Places in party.fields.
const (
	partyAOR = iota
	partyUser
	partyHost
	partyNumber
	partyName
	partyRole
	partyInternal
	partyKnown
	partyE164
	partyCountry
	partyLanguage
	partyID
	partyGroups
	partyFieldCount
)

var fieldPlaces = map[string]int{
	"aor": partyAOR, "user": partyUser, "host": partyHost, "number": partyNumber, "name": partyName, "role": partyRole,
	"internal": partyInternal, "known": partyKnown,
	"domain": partyHost, "e164": partyE164, "country": partyCountry, "language": partyLanguage, "id": partyID, "groups": partyGroups,
}

// The roles of a participant.
const (
	RoleCaller = "caller"
	RoleCallee = "callee"
)

// A party is a participant as conditions see it. It is a CEL value; its fields are CEL values made once, because every rule
// reads them, and the dearer ones when they are first read. It belongs to one goroutine.
type party struct {
	internal bool
	role     string
	user     *User                    // nil: not in the directory
	plan     string                   // country of national numbers
	fields   [partyFieldCount]ref.Val // nil: not read yet
}

// nobody has every field, since goroutines share it.
var nobody = &party{fields: [partyFieldCount]ref.Val{
	types.String(""), types.String(""), types.String(""), types.String(""), types.String(""), types.String(""), types.False, types.False,
	types.String(""), types.String(""), types.String(""), types.String(""), noGroups,
}}

var noGroups ref.Val = types.NewStringList(types.DefaultTypeAdapter, nil)

// text gives a field that is a text.
func (p *party) text(field int) string {
	t, _ := p.field(field).(types.String)
	return string(t)
}

// groups lists the groups of the directory that the participant is in.
func (p *party) groups() []string {
	if p.user == nil {
		return nil
	}
	return p.user.Groups
}

// field gives a field.
func (p *party) field(field int) ref.Val {
	if p.fields[field] == nil {
		p.fields[field] = p.read(field)
	}
	return p.fields[field]
}

func (p *party) read(field int) ref.Val {
	switch field {
	case partyE164:
		return types.String(e164Of(p.text(partyNumber), p.plan))
	case partyCountry:
		return types.String(countryOf(p.text(partyE164)))
	case partyLanguage:
		return types.String(languageOf(p.text(partyCountry)))
	case partyID:
		if p.user == nil {
			return types.String("")
		}
		return types.String(p.user.ID)
	default:
		if p.user == nil {
			return noGroups
		}
		return p.user.groups
	}
}

func (p *Policy) newParty(who siprec.Participant, role string, d *Directory) *party {
	aor := who.AOR()
	address := ParseAddress(aor)
	user := d.find(who, p.country)
	internal := user != nil || p.insiders.contain(who)
	return &party{
		internal: internal, role: role, user: user, plan: p.country,
		fields: [partyFieldCount]ref.Val{
			types.String(aor), types.String(address.User), types.String(address.Host), types.String(address.Number),
			types.String(who.Name()), types.String(role), types.Bool(internal), types.True,
		},
	}
}

// ConvertToNative is not supported: a party never leaves the conditions.
func (p *party) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("a participant has no native form")
}

// ConvertToType supports type(participant) only.
func (p *party) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return participantType
	}
	return types.NewErr("a participant cannot become %s", t.TypeName())
}

// Equal tells whether both are the same participant.
func (p *party) Equal(other ref.Val) ref.Val {
	q, ok := other.(*party)
	return types.Bool(ok && p == q)
}

// Type is the participant's type.
func (p *party) Type() ref.Type { return participantType }

// Value is the party itself.
func (p *party) Value() any { return p }

// An Address is an address of record, taken apart.
type Address struct {
	User   string // without parameters and escapes
	Host   string // lower case, without port and brackets
	Number string // digits, with a leading + where there was one; "" when the user part is no number
}

// ParseAddress takes a SIP, SIPS or tel URI, or a bare "user@host" or number, apart. What it cannot read stays empty.
func ParseAddress(aor string) Address {
	s := strings.Trim(strings.TrimSpace(aor), "<>")
	scheme, rest, ok := strings.Cut(s, ":")
	switch {
	case !ok:
		rest = s
	case strings.EqualFold(scheme, "sip"), strings.EqualFold(scheme, "sips"):
	case strings.EqualFold(scheme, "tel"):
		user, _, _ := strings.Cut(rest, ";")
		return Address{User: user, Number: number(user)}
	default:
		rest = s // "user:password@host", or a host and a port
	}
	user, host, hasUser := cutLast(rest, '@')
	if !hasUser {
		if n, _, _ := strings.Cut(host, ";"); number(n) != "" {
			return Address{User: n, Number: number(n)}
		}
	}
	user, _, _ = strings.Cut(user, ":")
	user, _, _ = strings.Cut(user, ";")
	if plain, err := url.PathUnescape(user); err == nil {
		user = plain
	}
	return Address{User: user, Host: hostOf(host), Number: number(user)}
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return "", s, false
}

func hostOf(s string) string {
	if i := strings.IndexAny(s, ";?>"); i >= 0 {
		s = s[:i]
	}
	if inside, ok := strings.CutPrefix(s, "["); ok {
		inside, _, _ = strings.Cut(inside, "]")
		return strings.ToLower(inside)
	}
	s, _, _ = strings.Cut(s, ":")
	return strings.TrimSuffix(strings.ToLower(s), ".")
}

// number gives the digits of a telephone number, or "" when s is none. Visual separators (RFC 3966 section 5.1.1) go.
func number(s string) string {
	out := make([]byte, 0, len(s))
	digits := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
			out = append(out, c)
		case c == '+' && len(out) == 0, c == '*', c == '#':
			out = append(out, c)
		case c == '-', c == '.', c == '(', c == ')', c == ' ', c == '/':
		default:
			return ""
		}
	}
	if digits == 0 {
		return ""
	}
	return string(out)
}

// addrOf reads a host that is an IP address.
func addrOf(host string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(host)
	return a.Unmap(), err == nil
}
