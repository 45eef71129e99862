package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/greffier/greffier/siprec/srs"
)

// configName is the file that is read from the data directory when none is named.
const configName = "greffier.yaml"

// A fileConfig is greffier.yaml as read: the typed values, and the scalars by flag name for kong's resolver.
type fileConfig struct {
	typed Config
	flags map[string]any
}

// readConfigFile reads greffier.yaml strictly: an unknown or doubled key is an error that names its line.
func readConfigFile(path string) (*fileConfig, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	fc := &fileConfig{flags: map[string]any{}}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&fc.typed); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w (`greffier config example` lists every key)", path, err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: more than one document", path)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(raw, &tree); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	flatten(fc.flags, "", tree)
	return fc, nil
}

// flatten turns sip: {max_sessions: 5} into sip-max-sessions: 5. Empty values are left to the defaults.
func flatten(out map[string]any, prefix string, tree map[string]any) {
	for k, v := range tree {
		name := prefix + strings.ReplaceAll(k, "_", "-")
		switch v := v.(type) {
		case nil:
		case map[string]any:
			flatten(out, name+"-", v)
		case []any:
			items := make([]string, 0, len(v))
			for _, item := range v {
				items = append(items, fmt.Sprint(item))
			}
			out[name] = strings.Join(items, ",")
		default:
			out[name] = fmt.Sprint(v)
		}
	}
}

// resolver gives kong the file's values: weaker than flags and environment, stronger than defaults.
func (fc *fileConfig) resolver() kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if v, ok := fc.flags[flag.Name]; ok {
			return v, nil
		}
		return nil, nil
	})
}

// loadConfig brings together defaults, file, environment and flags. configFile may be empty: then greffier.yaml in the
// data directory is read if it is there.
func loadConfig(configFile string, flags []string) (Config, error) {
	var c Config
	if configFile == "" {
		bare, err := parseConfig(&fileConfig{}, flags)
		if err != nil {
			return c, err
		}
		inData := filepath.Join(bare.DataDir, configName)
		if _, err := os.Stat(inData); err == nil {
			configFile = inData
		}
	}
	fc := &fileConfig{}
	if configFile != "" {
		var err error
		if fc, err = readConfigFile(configFile); err != nil {
			return c, err
		}
	}
	c, err := parseConfig(fc, flags)
	if err != nil {
		return c, err
	}
	c.SIP.Sources = fc.typed.SIP.Sources
	return c, c.check()
}

func parseConfig(fc *fileConfig, flags []string) (Config, error) {
	var c Config
	k, err := kong.New(&c, kong.Name("greffier"), kong.PostBuild(nameVariables), kong.Resolvers(fc.resolver()))
	if err != nil {
		return c, fmt.Errorf("build configuration parser: %w", err)
	}
	if _, err := k.Parse(flags); err != nil {
		return c, fmt.Errorf("read configuration: %w", err)
	}
	return c, nil
}

// nameVariables gives every flag its environment variable: --store-s3-bucket is GREFFIER_STORE_S3_BUCKET.
func nameVariables(k *kong.Kong) error {
	return kong.Visit(k.Model, func(n kong.Visitable, next kong.Next) error {
		if f, ok := n.(*kong.Flag); ok && f.Name != "help" && f.Name != "version" {
			f.Envs = []string{"GREFFIER_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))}
			f.Tag.Envs = f.Envs
		}
		return next(nil)
	})
}

// check finds what no default can mend. Each message says what to do.
func (c Config) check() error {
	var problems []error
	if _, _, err := c.Media.ports(); err != nil {
		problems = append(problems, err)
	}
	if _, err := c.sources(); err != nil {
		problems = append(problems, err)
	}
	if c.Media.Address != "" {
		if _, err := netip.ParseAddr(c.Media.Address); err != nil {
			problems = append(problems, fmt.Errorf("media.address: %w; write an IPv4 or IPv6 address", err))
		}
	}
	if c.SIP.Advertise != "" {
		if _, err := netip.ParseAddrPort(c.SIP.Advertise); err != nil {
			problems = append(problems, fmt.Errorf("sip.advertise: %w; write address:port", err))
		}
	}
	if listen, err := netip.ParseAddrPort(c.HTTP.Listen); err != nil {
		problems = append(problems, fmt.Errorf("http.listen: %w; write address:port", err))
	} else if !listen.Addr().IsLoopback() && (c.HTTP.TLSCert == "" || c.HTTP.TLSKey == "") {
		problems = append(problems, fmt.Errorf("http.listen: %s is not loopback; set http.tls_cert and http.tls_key", listen))
	}
	if c.Store.Type == "s3" && (c.Store.S3.Endpoint == "" || c.Store.S3.Bucket == "") {
		problems = append(problems, errors.New("store.s3: endpoint and bucket are needed"))
	}
	if c.Spool.Workers < 1 {
		problems = append(problems, errors.New("spool.workers: must be at least 1"))
	}
	return errors.Join(problems...)
}

// ports reads the RTP port range.
func (m MediaConfig) ports() (low, high int, err error) {
	a, b, ok := strings.Cut(m.Ports, "-")
	low, errLow := strconv.Atoi(strings.TrimSpace(a))
	high, errHigh := strconv.Atoi(strings.TrimSpace(b))
	if !ok || errLow != nil || errHigh != nil || low < 0 || high > 65535 || low > high || (low == 0) != (high == 0) {
		return 0, 0, fmt.Errorf("media.ports: %q is no range; write it as 20000-29999, or 0-0 for free ports", m.Ports)
	}
	return low, high, nil
}

// sources are the SRC profiles as the SIP side takes them.
func (c Config) sources() ([]srs.Source, error) {
	var out []srs.Source
	seen := map[string]bool{}
	for i, s := range c.SIP.Sources {
		if s.Name == "" || seen[s.Name] {
			return nil, fmt.Errorf("sip.sources[%d]: every source needs a name of its own", i)
		}
		seen[s.Name] = true
		src := srs.Source{Name: s.Name, AnySource: s.AnyMediaSource, Headers: s.Headers, RequireMetadata: s.RequireMetadata}
		if len(s.Addresses) == 0 {
			return nil, fmt.Errorf("sip.sources[%d] %s: addresses are needed, as 192.0.2.10 or 192.0.2.0/28", i, s.Name)
		}
		for _, a := range s.Addresses {
			p, err := parsePrefix(a)
			if err != nil {
				return nil, fmt.Errorf("sip.sources[%d] %s: %w", i, s.Name, err)
			}
			src.Prefixes = append(src.Prefixes, p)
		}
		out = append(out, src)
	}
	return out, nil
}

// parsePrefix reads an address or a network.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address nor a network", s)
	}
	return p.Masked(), nil
}
