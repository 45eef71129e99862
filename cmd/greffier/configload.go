package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
	"github.com/greffier/greffier/storage"
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
	var tree yaml.Node
	if err := yaml.Unmarshal(raw, &tree); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(tree.Content) > 0 {
		flatten(fc.flags, "", tree.Content[0])
	}
	return fc, nil
}

// flatten turns sip: {max_sessions: 5} into sip-max-sessions: 5, with the values as they are written. Empty ones are left to
// the defaults; lists of mappings are not flags.
func flatten(out map[string]any, prefix string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, v := prefix+strings.ReplaceAll(n.Content[i].Value, "_", "-"), n.Content[i+1]
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		switch {
		case v.Kind == yaml.MappingNode:
			flatten(out, name+"-", v)
		case v.Kind == yaml.SequenceNode:
			items := make([]string, 0, len(v.Content))
			for _, item := range v.Content {
				items = append(items, item.Value)
			}
			out[name] = strings.Join(items, ",")
		case v.Tag != "!!null":
			out[name] = v.Value
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
	if _, err := c.profiles(); err != nil {
		problems = append(problems, err)
	}
	if _, err := c.addresses(); err != nil {
		problems = append(problems, err)
	}
	if listen, err := netip.ParseAddrPort(c.HTTP.Listen); err != nil {
		problems = append(problems, fmt.Errorf("http.listen: %w; write address:port", err))
	} else if !listen.Addr().IsLoopback() && (c.HTTP.TLSCert == "" || c.HTTP.TLSKey == "") {
		problems = append(problems, fmt.Errorf("http.listen: %s is not loopback; set http.tls_cert and http.tls_key", listen))
	}
	if c.Store.Type == "s3" && (c.Store.S3.Endpoint == "" || c.Store.S3.Bucket == "") {
		problems = append(problems, errors.New("store.s3: endpoint and bucket are needed"))
	}
	if d := c.Store.S3.LifecycleSlackDays; d < 0 || d > storage.MaxLifecycleSlack {
		problems = append(problems, fmt.Errorf("store.s3.lifecycle_slack_days: %d; write 0 to %d", d, storage.MaxLifecycleSlack))
	}
	switch s := c.Store.S3; {
	case (s.EraserAccessKey == "") != (s.EraserSecretKeyFile == ""):
		problems = append(problems, errors.New("store.s3: eraser_access_key and eraser_secret_key_file are needed together"))
	case s.EraserAccessKey != "" && s.EraserAccessKey == s.AccessKey:
		problems = append(problems, errors.New("store.s3: the eraser needs credentials of its own: whoever can lock must not be able to bypass the lock"))
	}
	if c.Media.Missing <= 0 {
		problems = append(problems, errors.New("media.missing: must be longer than nothing"))
	}
	if c.Media.Silence <= 0 {
		problems = append(problems, errors.New("media.silence: must be longer than nothing"))
	}
	if c.SIP.Probe <= 0 {
		problems = append(problems, errors.New("sip.probe: must be longer than nothing"))
	}
	if c.Media.G729 != "" {
		if _, err := exec.LookPath(c.Media.G729); err != nil {
			problems = append(problems, fmt.Errorf("media.g729: %w; build contrib/g729, or leave it out", err))
		}
	}
	if r := c.Media.MaxRate; r != 8000 && r != 16000 && r != media.MaxRate {
		problems = append(problems, fmt.Errorf("media.max_rate: %d; write 8000, 16000 or %d", r, media.MaxRate))
	}
	if c.SIP.MaxSessions < 1 {
		problems = append(problems, errors.New("sip.max_sessions: must be at least 1"))
	}
	if (c.HTTP.TLSCert == "") != (c.HTTP.TLSKey == "") {
		problems = append(problems, errors.New("http.tls_cert and http.tls_key: one needs the other"))
	}
	if (c.SIP.TLSCert == "") != (c.SIP.TLSKey == "") {
		problems = append(problems, errors.New("sip.tls_cert and sip.tls_key: one needs the other"))
	} else if c.SIP.TLSCert == "" && (c.SIP.TLSClientCA != "" || c.SIP.listensOnTLS()) {
		problems = append(problems, errors.New("sip.listen and sip.tls_client_ca: TLS needs a certificate; set sip.tls_cert and sip.tls_key"))
	}
	if err := errors.Join(c.Consent.check(), c.Verify.check()); err != nil {
		problems = append(problems, err)
	}
	if b := c.Keys.Bucket; c.Keys.Store == keysInBucket {
		switch {
		case b.Endpoint == "" || b.Bucket == "":
			problems = append(problems, errors.New("keys.bucket: endpoint and bucket are needed"))
		case c.Store.Type == "s3" && b.Endpoint == c.Store.S3.Endpoint && b.Bucket == c.Store.S3.Bucket:
			problems = append(problems, errors.New("keys.bucket: keys need a bucket of their own, without the versions that recordings need"))
		}
	}
	for i, u := range append([]string{c.Keys.KEK}, c.Keys.Former...) {
		if u == kekInFile && i == 0 {
			continue
		}
		if _, err := c.Keys.service(context.Background(), u); err != nil {
			problems = append(problems, fmt.Errorf("keys: %w", err))
		}
	}
	if err := c.Catalog.check(); err != nil {
		problems = append(problems, err)
	}
	if c.Spool.Workers < 1 {
		problems = append(problems, errors.New("spool.workers: must be at least 1"))
	}
	return errors.Join(problems...)
}

func (s SIPConfig) listensOnTLS() bool {
	return slices.ContainsFunc(s.Listen, func(l string) bool { return strings.HasPrefix(l, "tls://") })
}

// tls names the files of the tls listeners.
func (s SIPConfig) tls() srs.TLSFiles {
	return srs.TLSFiles{Cert: s.TLSCert, Key: s.TLSKey, ClientCA: s.TLSClientCA}
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
		src := srs.Source{Name: s.Name, TLSNames: s.TLSNames, AnySource: s.AnyMediaSource, Headers: s.keptHeaders(), RequireMetadata: s.RequireMetadata,
			MaxRate: s.MaxRate, MaxSessions: s.MaxSessions}
		src.NoReinvite, src.NoSnapshots = s.NoReinvite, s.NoSnapshots
		switch src.Decline = siprec.Decline(s.Declined); src.Decline {
		case "", siprec.DeclineInactive, siprec.DeclineAccept, siprec.DeclineRefuse:
		default:
			return nil, fmt.Errorf("sip.sources[%d] %s: declined: %q; write inactive, accept or refuse", i, s.Name, s.Declined)
		}
		if s.MaxRate < 0 || s.MaxSessions < 0 {
			return nil, fmt.Errorf("sip.sources[%d] %s: max_rate and max_sessions cannot be less than 0", i, s.Name)
		}
		var err error
		if src.Digest, err = s.digest(); err != nil {
			return nil, fmt.Errorf("sip.sources[%d] %s: %w", i, s.Name, err)
		}
		if len(s.Addresses)+len(s.TLSNames) == 0 {
			return nil, fmt.Errorf("sip.sources[%d] %s: addresses are needed, as 192.0.2.10 or 192.0.2.0/28, or tls_names", i, s.Name)
		}
		for _, a := range s.Addresses {
			p, err := parsePrefix(a)
			if err != nil {
				return nil, fmt.Errorf("sip.sources[%d] %s: %w", i, s.Name, err)
			}
			src.Prefixes = append(src.Prefixes, p)
		}
		src.Headers = s.keptHeaders()
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
