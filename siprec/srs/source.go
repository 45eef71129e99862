package srs

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/greffier/greffier/siprec"
)

// A Source is the profile of a recording client (SRC): where its requests come from and what it may do. The longest
// prefix that contains a request's source address decides; a request that no Source matches is answered with 403.
//
// A Source with TLSNames is met over TLS only, by a client whose certificate has one of them, whatever its address unless there
// are Prefixes too: then both must match. Such a Source takes its addresses from those with shorter prefixes.
type Source struct {
	Name            string         // what recordings and policies call this client; unique
	Prefixes        []netip.Prefix // source addresses, 192.0.2.0/24 or 2001:db8::/64
	TLSNames        []string       // host names of its certificate (RFC 5922 section 7), as sbc1.example.com; no wildcards
	AnySource       bool           // media may come from addresses that the client did not offer
	Headers         []string       // header fields of the INVITE that the Recorder is given
	RequireMetadata bool           // refuse an INVITE without recording metadata (400)
	NoReinvite      bool           // never send a re-INVITE to it: Reoffer gives ErrNotAllowed
	NoSnapshots     bool           // never ask it for its metadata: RequestSnapshot gives ErrNotAllowed
	MaxRate         float64        // new sessions a second, above which the answer is 503; default 200. A burst may have five times that
	Digest          Digest         // what the client must prove to know (401); the zero value asks for nothing
	MaxSessions     int            // sessions at once, above which the answer is 503; 0: as many as the server takes
	Decline         siprec.Decline // how it is told that a call is not recorded
}

// loopbackSource is the only source of a server whose listeners are all loopback and that has none configured.
func loopbackSource() Source {
	return Source{
		Name:     "loopback",
		Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
}

// A sourceTable finds the Source of an address.
type sourceTable struct{ rows []sourceRow } // longest prefix first

type sourceRow struct {
	prefix netip.Prefix // not valid: any address, of a source with names only
	source *Source
}

func newSourceTable(sources []Source) (*sourceTable, error) {
	t := &sourceTable{}
	names, taken := map[string]bool{}, map[claim]string{}
	for i := range sources {
		src := &sources[i]
		if src.Name == "" {
			return nil, fmt.Errorf("source %d has no name: give each source a unique name", i+1)
		}
		if names[src.Name] {
			return nil, fmt.Errorf("source %q is there twice: give each source a unique name, or join their prefixes", src.Name)
		}
		names[src.Name] = true
		if len(src.Prefixes)+len(src.TLSNames) == 0 {
			return nil, fmt.Errorf("source %q has no prefixes: list the addresses that it calls from, such as 192.0.2.10/32, or the names of its certificate", src.Name)
		}
		if err := src.Digest.check(); err != nil {
			return nil, fmt.Errorf("source %q has %w", src.Name, err)
		}
		for _, n := range src.TLSNames {
			if err := checkTLSName(n); err != nil {
				return nil, fmt.Errorf("source %q: TLS name %w", src.Name, err)
			}
		}
		prefixes := src.Prefixes
		if len(prefixes) == 0 {
			prefixes = []netip.Prefix{{}}
		}
		for _, p := range prefixes {
			if len(src.Prefixes) > 0 {
				var err error
				if p, err = canonicalPrefix(p); err != nil {
					return nil, fmt.Errorf("source %q: %w", src.Name, err)
				}
			}
			if err := take(taken, src, p); err != nil {
				return nil, err
			}
			t.rows = append(t.rows, sourceRow{p, src})
		}
	}
	slices.SortStableFunc(t.rows, func(a, b sourceRow) int { return cmp.Compare(b.prefix.Bits(), a.prefix.Bits()) })
	return t, nil
}

// A claim is what only one source may have: a prefix, or a name of a certificate behind a prefix.
type claim struct {
	prefix netip.Prefix
	name   string
}

// take notes what a source claims of a prefix. Sources behind one address can be told apart when each has names.
func take(taken map[claim]string, src *Source, p netip.Prefix) error {
	clash := func(c claim) error {
		other, ok := taken[c]
		switch {
		case !ok || other == src.Name:
			return nil
		case c.name == "":
			return fmt.Errorf("sources %q and %q both have prefix %s: take it from one of them, or give each its TLS names", other, src.Name, p)
		case !p.IsValid():
			return fmt.Errorf("sources %q and %q both have TLS name %s: take it from one of them, or give each its addresses", other, src.Name, c.name)
		}
		return fmt.Errorf("sources %q and %q both have prefix %s and TLS name %s: take it from one of them", other, src.Name, p, c.name)
	}
	const named = "*" // no TLS name: stands for any
	if len(src.TLSNames) == 0 {
		if err := errors.Join(clash(claim{p, ""}), clash(claim{p, named})); err != nil {
			return err
		}
		taken[claim{p, ""}] = src.Name
		return nil
	}
	if err := clash(claim{p, ""}); err != nil {
		return err
	}
	taken[claim{p, named}] = src.Name
	for _, n := range src.TLSNames {
		c := claim{p, strings.ToLower(n)}
		if err := clash(c); err != nil {
			return err
		}
		taken[c] = src.Name
	}
	return nil
}

// canonicalPrefix clears host bits and turns IPv4-mapped IPv6 prefixes into IPv4 ones.
func canonicalPrefix(p netip.Prefix) (netip.Prefix, error) {
	if !p.IsValid() {
		return p, errors.New("a prefix is not valid: write it as 192.0.2.0/24")
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("prefix %s mixes IPv4 and IPv6: write two prefixes", p)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// find gives the source of an address and of the names of a verified certificate, lower case; or nil, and why.
func (t *sourceTable) find(a netip.Addr, names ...string) (*Source, string) {
	a = a.Unmap().WithZone("")
	var byAddress *Source
	listed, misplaced := false, false
	for _, r := range t.rows {
		here := r.prefix.Contains(a)
		switch {
		case r.source.named(names):
			if here || !r.prefix.IsValid() {
				return r.source, ""
			}
			misplaced = true
		case here && !listed:
			listed = true
			if len(r.source.TLSNames) == 0 {
				byAddress = r.source
			}
		}
	}
	switch {
	case misplaced:
		return nil, misplacedReason
	case byAddress != nil:
		return byAddress, ""
	case listed:
		return nil, otherCertificateReason
	}
	return nil, strangerReason
}

// lists tells whether any source has the address.
func (t *sourceTable) lists(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(t.rows, func(r sourceRow) bool { return r.prefix.Contains(a) })
}

// names tells whether any source has one of the names.
func (t *sourceTable) names(names []string) bool {
	return slices.ContainsFunc(t.rows, func(r sourceRow) bool { return r.source.named(names) })
}

// named tells whether the source has one of the names, given in lower case. Names are equal or not: a wildcard in a certificate
// stands for nothing (RFC 5922 section 7.2).
func (s *Source) named(names []string) bool {
	if len(names) == 0 {
		return false
	}
	return slices.ContainsFunc(s.TLSNames, func(n string) bool { return slices.Contains(names, strings.ToLower(n)) })
}
