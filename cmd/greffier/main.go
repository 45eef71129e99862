// Command greffier is a SIPREC recording server and the tools of those who run it and look after its recordings.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/greffier/greffier/policy"
)

// version is set by the linker (-X main.version=...).
var version = "0.1.0-dev"

const description = `Greffier records calls that an SBC or PBX forks to it by SIPREC (RFC 7866): it decides before any audio is kept, locks what it keeps for as long as its class says, and leaves evidence of both.`

// A cli is the command line.
type cli struct {
	Serve      serveCmd      `cmd:"" help:"Take calls and record them."`
	Demo       demoCmd       `cmd:"" help:"Record three calls on this machine and show what became of them."`
	Fork       forkCmd       `cmd:"" help:"Fork calls to a recording server, as an SBC would, to test an installation."`
	Calls      callsCmd      `cmd:"" help:"See the calls that go on, pause them, and take in what their parties say about being recorded."`
	Objections objectionsCmd `cmd:"" help:"Keep the list of those who never want to be recorded."`
	Recordings recordingsCmd `cmd:"" help:"Find, show and play recordings, and what becomes of them."`
	Verify     verifyCmd     `cmd:"" help:"Check that store, catalog, keys and audit log agree."`
	Audit      auditCmd      `cmd:"" help:"Read and verify the audit log."`
	Catalog    catalogCmd    `cmd:"" help:"Look after the catalog."`
	Keys       keysCmd       `cmd:"" help:"Change the key-encryption key, see what it wraps, and destroy again what a backup brought back."`
	Policy     policyCmd     `cmd:"" help:"Check a policy, explain and test its decisions, and try it on past calls."`
	Storage    storageCmd    `cmd:"" help:"Prove that the store's locks are locks, and see to its lifecycle rules."`
	Config     configCmd     `cmd:"" help:"Check a configuration, or print an example."`
	Completion completionCmd `cmd:"" help:"Print a completion script for bash."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

// Exit codes.
const (
	exitOK       = 0
	exitFailed   = 1  // the deed could not be done, or verification found something
	exitUsage    = 80 // kong's: the command line is wrong
	exitNotFound = 3
)

func main() {
	if err := keepRegisters(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "greffier:", err) // what is lost is less than a server that does not start
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// streams are where a command writes.
type streams struct{ out, err io.Writer }

// run is the whole program but for the process: tests call it.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	var c cli
	help, err := flagHelp()
	if err != nil {
		fmt.Fprintln(errOut, "greffier:", err)
		return exitFailed
	}
	exited := -1
	k, err := kong.New(&c,
		kong.Name("greffier"), kong.Description(description), kong.UsageOnError(), kong.Writers(out, errOut),
		kong.Vars{"version": version, "policies": strings.Join(policy.Examples(), ", ")}, kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		kong.PostBuild(nameVariables), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(streams{out, errOut}),
	)
	if err != nil {
		fmt.Fprintln(errOut, "greffier:", err)
		return exitFailed
	}
	for _, node := range k.Model.Children {
		for _, f := range node.Flags {
			if text, ok := help[f.Name]; ok && f.Help == "" {
				f.Help = text
			}
		}
	}
	kctx, err := k.Parse(args)
	if exited >= 0 { // help or version
		return exited
	}
	if err != nil {
		fmt.Fprintf(errOut, "greffier: %v (see greffier --help)\n", err)
		return exitUsage
	}
	if err := kctx.Run(); err != nil {
		return report(errOut, err)
	}
	return exitOK
}

// An exitError ends the program with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

func report(w io.Writer, err error) int {
	if !errors.Is(err, errQuiet) {
		fmt.Fprintln(w, "greffier:", err)
	}
	var exit exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return exitFailed
}

// errQuiet ends a command that has said already what is wrong.
var errQuiet = errors.New("failed")
