// Command hermes-reconcile decides at each container boot which profiles' gateways start, makes
// their slots, and keeps them as decided. It has the commands; package world has the lists of
// what is plugged in.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	_ "time/tzdata" // rules name time zones, and a slim image has none

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/author"
	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/terminal"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/wait"
	"hermes-reconcile/rego/process"
)

func main() { os.Exit(program()) }

// program is the whole process, or that of a child.
func program() int {
	// The modes of new files are this program's choice, not the caller's.
	syscall.Umask(0o022)
	if remote.IsChild(os.Args) {
		return remote.Serve()
	}
	if process.IsChild(os.Args) {
		return process.Serve()
	}
	ctx := untilSignal()
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if ctx.Err() != nil && code > cli.ExitProfile {
		// Whatever the command made of it: neither the usage nor the policy is wrong.
		fmt.Fprintln(os.Stderr, endedBySignal)
		code = cli.ExitProfile
	}
	return code
}

// run is the program without the process: it touches nothing but what it is
// given, the file system and the environment.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out, errs, begin := terminal.Streams(stdout, stderr)
	ctx = wait.With(ctx, begin)
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	output, _ := root.PersistentFlags().GetString("output")
	code := report(err, output, errs)
	if err := out.End(); err != nil {
		fmt.Fprintf(errs, "hermes-reconcile: %v\n", err)
		if code == cli.ExitDone && !out.Optional {
			code = cli.ExitProfile
		}
	}
	_ = errs.End() // nobody reads what could be said of it
	return code
}

// A failure is the document of an error.
type failure struct {
	SchemaVersion policy.Version `json:"schema_version"`
	Error         string         `json:"error"`
	Status        int            `json:"exit_status"`
}

// report prints an error once and returns its exit status. An error without one
// of its own comes from the command line. With the output json it is a JSON object.
func report(err error, output string, stderr io.Writer) int {
	if err == nil {
		return cli.ExitDone
	}
	code := cli.ExitUsage
	if exit, ok := errors.AsType[*cli.Error](err); ok {
		code, err = exit.Code, exit.Err
	}
	switch {
	case err == nil:
	case output == "json":
		text, _ := json.Marshal(failure{Error: err.Error(), Status: code})
		fmt.Fprintf(stderr, "%s\n", text)
	default:
		// No text in an error begins a line.
		fmt.Fprintf(stderr, "hermes-reconcile: %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
	}
	return code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "hermes-reconcile",
		Short: "Decide which gateways start after a container restart, and make their slots",
		Long: `hermes-reconcile brings the gateways of hermes-agent's profiles back after a
container restart. It collects facts about every profile, asks Rego rules what
should run, and makes the service directories that s6 supervises.

The rules are yours: add a .rego file to /etc/hermes-reconcile/policy, see what
it changes with "hermes-reconcile eval --dry-run", and restart.

Data goes to standard output, the log to standard error.
Exit status: 0 done, 1 something failed for a profile, 2 wrong usage or
configuration, 3 policy error.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cli.SuggestCommand,
		RunE: func(c *cobra.Command, _ []string) error {
			if version, _ := c.Flags().GetBool("version"); version {
				return printVersion(c, nil)
			}
			return c.Help()
		},
	}
	config.AddFlags(root.PersistentFlags())
	cli.CompleteWords(root, root.PersistentFlags())
	// A version template of cobra would make the binary 3 MB larger.
	root.Flags().Bool("version", false, "print the version, and that of the policy engine")
	root.SetFlagErrorFunc(cli.SuggestFlag)
	root.AddCommand(
		newApply(), newBoot(), newConfig(), newDied(), newDoctor(), newEval(), newEvents(), newExplain(), newFacts(), newLog(), newLogs(), author.New(), newReport(), newRescan(), author.NewSchema(),
		newStatus(), newTop(), newVersion(), newWatch(),
	)
	for _, l := range lifecycles {
		root.AddCommand(l.command())
	}
	root.AddCommand(extraCommands()...)
	return root
}
