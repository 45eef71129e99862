package policy

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed shipped/*.yaml
var shipped embed.FS

// Examples names the policies that the program ships, to begin with: each a whole policy whose references and dates are to be replaced.
func Examples() []string {
	entries, err := fs.ReadDir(shipped, "shipped")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return names
}

// Example gives the document of a shipped policy.
func Example(name string) ([]byte, error) {
	b, err := shipped.ReadFile(path.Join("shipped", name+".yaml"))
	if err != nil {
		return nil, fmt.Errorf("there is no example %q: there are %s", name, strings.Join(Examples(), ", "))
	}
	return b, nil
}

// Country is the ISO 3166 code of the country of national numbers, or "".
func (p *Policy) Country() string { return p.country }
