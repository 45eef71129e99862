package srs

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// A Source is the profile of a recording client (SRC): where its requests come from and what it may do. The longest
// prefix that contains a request's source address decides; a request that no Source matches is answered with 403.
type Source struct {
	Name            string         // what recordings and policies call this client; unique
	Prefixes        []netip.Prefix // source addresses, 192.0.2.0/24 or 2001:db8::/64
	AnySource       bool           // media may come from addresses that the client did not offer
	Headers         []string       // header fields of the INVITE that the Recorder is given
	RequireMetadata bool           // refuse an INVITE without recording metadata (400)
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
	prefix netip.Prefix
	source *Source
}

func newSourceTable(sources []Source) (*sourceTable, error) {
	t := &sourceTable{}
	names, taken := map[string]bool{}, map[netip.Prefix]string{}
	for i := range sources {
		src := &sources[i]
		if src.Name == "" {
			return nil, fmt.Errorf("source %d has no name: give each source a unique name", i+1)
		}
		if names[src.Name] {
			return nil, fmt.Errorf("source %q is there twice: give each source a unique name, or join their prefixes", src.Name)
		}
		names[src.Name] = true
		if len(src.Prefixes) == 0 {
			return nil, fmt.Errorf("source %q has no prefixes: list the addresses that it calls from, such as 192.0.2.10/32", src.Name)
		}
		for _, p := range src.Prefixes {
			p, err := canonicalPrefix(p)
			if err != nil {
				return nil, fmt.Errorf("source %q: %w", src.Name, err)
			}
			if other, ok := taken[p]; ok && other != src.Name {
				return nil, fmt.Errorf("sources %q and %q both have prefix %s: take it from one of them", other, src.Name, p)
			}
			taken[p] = src.Name
			t.rows = append(t.rows, sourceRow{p, src})
		}
	}
	slices.SortStableFunc(t.rows, func(a, b sourceRow) int { return cmp.Compare(b.prefix.Bits(), a.prefix.Bits()) })
	return t, nil
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

// find gives the source of an address, or nil.
func (t *sourceTable) find(a netip.Addr) *Source {
	a = a.Unmap().WithZone("")
	for _, r := range t.rows {
		if r.prefix.Contains(a) {
			return r.source
		}
	}
	return nil
}
