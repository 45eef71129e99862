package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/greffier/greffier/siprec/srs"
)

type configCmd struct {
	Check   configCheckCmd   `cmd:"" help:"Read a configuration and its policy, and say what is wrong."`
	Example configExampleCmd `cmd:"" help:"Print greffier.yaml with every key, its meaning and its default."`
}

type configCheckCmd struct {
	ConfigFile string `name:"config" short:"c" placeholder:"FILE" help:"The configuration file."`
	Policy     string `placeholder:"FILE" help:"The policy file, when the configuration does not name it."`
	DataDir    string `name:"data-dir" placeholder:"DIR" help:"The data directory, whose greffier.yaml is read when no file is named."`
}

func (c configCheckCmd) Run(_ context.Context, s streams) error {
	var flags []string
	if c.Policy != "" {
		flags = append(flags, "--policy="+c.Policy)
	}
	if c.DataDir != "" {
		flags = append(flags, "--data-dir="+c.DataDir)
	}
	cfg, err := loadConfig(c.ConfigFile, flags)
	if err != nil {
		return err
	}
	p, err := loadPolicy(cfg.Policy, make([]byte, 32))
	if err != nil {
		return err
	}
	sources, err := cfg.sources()
	if err != nil {
		return err
	}
	if _, err := srs.New(srs.Config{Listen: cfg.SIP.Listen, TLS: cfg.SIP.tls(), Sources: sources}, nil); err != nil {
		return err
	}
	if _, err := cfg.Consent.customerSystem(); err != nil {
		return err
	}
	for _, kv := range settings(cfg) {
		fmt.Fprintf(s.out, "%s: %s\n", kv[0], kv[1])
	}
	fmt.Fprintf(s.out, "policy %s: %d classes\n", p.Digest(), len(p.Classes()))
	for _, m := range p.Systematic() {
		fmt.Fprintf(s.out, "rule %s records every call of class %s, by mandate: %s\n", m.Rule, m.Class, m.Reference)
	}
	fmt.Fprintln(s.out, "configuration is good")
	return nil
}

type configExampleCmd struct{}

func (configExampleCmd) Run(s streams) error {
	text, err := configExample()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(s.out, text)
	return err
}

type completionCmd struct{}

// Run prints a script that completes commands and flags from the program's own model.
func (completionCmd) Run(k *kong.Kong, s streams) error {
	var b strings.Builder
	b.WriteString("# bash completion for greffier. To load it: source <(greffier completion)\n_greffier() {\n  local words=\"${COMP_WORDS[*]:1:COMP_CWORD-1}\" reply=\"\"\n  case \"$words\" in\n")
	var walk func(n *kong.Node, path string)
	walk = func(n *kong.Node, path string) {
		var words []string
		for _, child := range n.Children {
			if !child.Hidden {
				words = append(words, child.Name)
				walk(child, strings.TrimSpace(path+" "+child.Name))
			}
		}
		for _, f := range n.Flags {
			words = append(words, "--"+f.Name)
		}
		pattern := fmt.Sprintf("%q*", path)
		if path == "" {
			pattern = "\"\""
		}
		fmt.Fprintf(&b, "    %s) reply=%q ;;\n", pattern, strings.Join(words, " "))
	}
	walk(k.Model.Node, "")
	b.WriteString("  esac\n  mapfile -t COMPREPLY < <(compgen -W \"$reply\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n  [ ${#COMPREPLY[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\")\n}\ncomplete -o filenames -F _greffier greffier\n")
	_, err := fmt.Fprint(s.out, b.String())
	return err
}
