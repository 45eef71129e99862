package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

// collectAt is by how many percent the server's memory may grow before what is unused is collected, unless the environment
// has GOGC. Calls that are recorded allocate nothing, and most of what they hold has no pointers to follow: collecting
// costs little, and what is not collected is resident.
const collectAt = 20

// serveCmd shows every setting as a flag. The values are read by loadConfig, which knows the file too.
type serveCmd struct {
	ConfigFile string `name:"config" short:"c" placeholder:"FILE" help:"Configuration file; absent: greffier.yaml in the data directory, if it is there."`
	Config     `embed:""`
}

// Help is shown by greffier serve --help.
func (serveCmd) Help() string {
	return "Every flag is also a key of the configuration file (sip.listen) and an environment variable (GREFFIER_SIP_LISTEN)."
}

// given lists the flags of the command line as they were written, but for the file's name.
func given(k *kong.Context) []string {
	var out []string
	for _, p := range k.Path {
		if p.Flag == nil || p.Resolved || p.Flag.Name == "config" {
			continue
		}
		value := fmt.Sprint(k.FlagValue(p.Flag))
		if list, ok := k.FlagValue(p.Flag).([]string); ok {
			value = strings.Join(list, ",")
		}
		out = append(out, "--"+p.Flag.Name+"="+value)
	}
	return out
}

func (s serveCmd) Run(ctx context.Context, k *kong.Context, io streams) error {
	c, err := loadConfig(s.ConfigFile, given(k))
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(collectAt))
	}
	m := Main{Config: c, Stderr: io.err}
	return m.Run(ctx)
}

// A located command works on the data of a server, which may be running.
type located struct {
	ConfigFile string `name:"config" short:"c" placeholder:"FILE" help:"The server's configuration file."`
	DataDir    string `name:"data-dir" placeholder:"DIR" help:"The server's data directory."`
}

// config reads the server's configuration.
func (l located) config() (Config, error) {
	var flags []string
	if l.DataDir != "" {
		flags = append(flags, "--data-dir="+l.DataDir)
	}
	return loadConfig(l.ConfigFile, flags)
}

// open opens the server's parts, as far as the command needs them.
func (l located) open(ctx context.Context, want access) (*parts, error) {
	p, _, err := l.openConfigured(ctx, want)
	return p, err
}

// openConfigured is open for a command that needs the server's configuration too.
func (l located) openConfigured(ctx context.Context, want access) (*parts, Config, error) {
	c, err := l.config()
	if err != nil {
		return nil, c, err
	}
	p, err := openParts(ctx, c, want)
	return p, c, err
}
