package siprec

import (
	"net/netip"
	"net/url"
	"strings"
)

// addressParts takes an address of record apart: "sip:+33123@example.com;user=phone", "<tel:+33-1-23>", "user@host", "2001".
func addressParts(aor string) (scheme, user, host string) {
	s := strings.TrimSpace(aor)
	if i := strings.IndexByte(s, '<'); i >= 0 {
		s, _, _ = strings.Cut(s[i+1:], ">")
	}
	if i := strings.IndexByte(s, ':'); i > 0 {
		switch prefix := strings.ToLower(s[:i]); prefix {
		case "sip", "sips", "tel", "im", "pres", "xmpp":
			scheme, s = prefix, s[i+1:]
		}
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		user, host = s[:i], s[i+1:]
	} else if scheme == "sip" || scheme == "sips" {
		host = s
	} else {
		user = s
	}
	user, _, _ = strings.Cut(user, ";")
	if scheme == "sip" || scheme == "sips" {
		user, _, _ = strings.Cut(user, ":") // a password (RFC 3261 section 19.1.1)
	}
	if plain, err := url.PathUnescape(user); err == nil {
		user = plain
	}
	if i := strings.IndexAny(host, ";?>"); i >= 0 {
		host = host[:i]
	}
	return scheme, user, hostOnly(host)
}

// hostOnly drops the port, and the brackets of an IPv6 address.
func hostOnly(s string) string {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, _, _ = strings.Cut(inner, "]")
		return inner
	}
	if strings.Count(s, ":") == 1 {
		s, _, _ = strings.Cut(s, ":")
	}
	return s
}

// User gives the user part of an address of record, unescaped and without parameters, or "".
func User(aor string) string {
	_, user, _ := addressParts(aor)
	return user
}

// Host gives the host of an address of record in lower case, without port and brackets, or "".
func Host(aor string) string {
	_, _, host := addressParts(aor)
	return strings.ToLower(host)
}

// Number gives the telephone number in an address of record, as "+33123456789" or as it was dialled, without separators; "" when
// the user part is no number. SIP and tel URIs and bare users are understood.
func Number(aor string) string {
	_, user, host := addressParts(aor)
	if _, err := netip.ParseAddr(user); err == nil && host == "" {
		return "" // an address without user part
	}
	var w strings.Builder
	digits := 0
	for i, c := range user {
		switch {
		case c >= '0' && c <= '9':
			digits++
			w.WriteRune(c)
		case c == '+' && i == 0, c == '*', c == '#':
			w.WriteRune(c)
		case strings.ContainsRune("-.() ", c): // visual separators (RFC 3966 section 5.1.1)
		default:
			return ""
		}
	}
	if digits == 0 {
		return ""
	}
	return w.String()
}

// withoutScheme gives user@host of an address of record.
func withoutScheme(aor string) string {
	_, user, host := addressParts(aor)
	return user + "@" + host
}
