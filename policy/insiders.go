package policy

import (
	"net/netip"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/greffier/greffier/siprec"
)

// insiders tell who is internal. A nil *insiders knows nobody.
type insiders struct {
	domains  []string // lower case
	numbers  []*regexp.Regexp
	networks []netip.Prefix
}

func readInsiders(r *reader, n *yaml.Node, path string) *insiders {
	in := &insiders{}
	before := len(r.problems)
	r.mapping(n, path, map[string]func(*yaml.Node, string){
		"domains": func(n *yaml.Node, path string) {
			r.list(n, path, maxList, func(n *yaml.Node, path string) {
				if s := strings.ToLower(r.text(n, path)); strings.ContainsAny(s, "@:*/ ") {
					r.problem(n, path, "%q is not a domain: write one such as corp.example; subdomains are included", s)
				} else if s != "" {
					in.domains = append(in.domains, strings.Trim(s, "."))
				}
			})
		},
		"numbers": func(n *yaml.Node, path string) {
			r.list(n, path, maxList, func(n *yaml.Node, path string) {
				s := r.text(n, path)
				re, err := regexp.Compile(s)
				if err != nil {
					r.problem(n, path, "%q is not a pattern: %v", s, err)
				} else if s != "" {
					in.numbers = append(in.numbers, re)
				}
			})
		},
		"networks": func(n *yaml.Node, path string) {
			r.list(n, path, maxList, func(n *yaml.Node, path string) {
				s := r.text(n, path)
				prefix, err := netip.ParsePrefix(s)
				if err != nil && s != "" {
					r.problem(n, path, "%q is not a network: write one such as 10.0.0.0/8", s)
				} else if s != "" {
					in.networks = append(in.networks, prefix.Masked())
				}
			})
		},
	})
	if len(r.problems) == before && len(in.domains)+len(in.numbers)+len(in.networks) == 0 {
		r.problem(n, path, "says nothing: list domains, numbers or networks, or leave it out")
	}
	return in
}

// contain tells whether any of the participant's addresses is internal.
func (in *insiders) contain(p siprec.Participant) bool {
	if in == nil {
		return false
	}
	for _, name := range p.Names {
		if name.AOR != "" && in.containAddress(ParseAddress(name.AOR)) {
			return true
		}
	}
	return false
}

func (in *insiders) containAddress(a Address) bool {
	for _, d := range in.domains {
		if a.Host == d || strings.HasSuffix(a.Host, d) && a.Host[len(a.Host)-len(d)-1] == '.' {
			return true
		}
	}
	if a.Number != "" {
		for _, re := range in.numbers {
			if re.MatchString(a.Number) {
				return true
			}
		}
	}
	if addr, ok := addrOf(a.Host); ok {
		for _, prefix := range in.networks {
			if prefix.Contains(addr) {
				return true
			}
		}
	}
	return false
}
