// Command hermes-reconcile decides at each container boot which profiles'
// gateways start, and makes their slots. It is where everything meets: the
// configuration, the commands, and the lists of what is plugged in (plugins.go).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // rules name time zones, and a slim image has none

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/engine/volume/remote"
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// The exit statuses.
const (
	exitDone    = 0
	exitProfile = 1 // something failed for a profile
	exitUsage   = 2 // wrong usage or configuration
	exitPolicy  = 3 // the policy cannot be used
)

// An exitError carries an exit status; without an error there is nothing to
// print.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// run is the program without the process: it touches nothing but what it is
// given, the file system and the environment.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return report(root.ExecuteContext(ctx), stderr)
}

// report prints an error once and returns its exit status. An error without one
// of its own comes from the command line.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return exitDone
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		if exit.err != nil {
			fmt.Fprintf(stderr, "hermes-reconcile: %v\n", exit.err)
		}
		return exit.code
	}
	fmt.Fprintf(stderr, "hermes-reconcile: %v\n", err)
	return exitUsage
}

// silently returns the error of an exit status whose reason has been printed.
func silently(code int) error {
	if code == exitDone {
		return nil
	}
	return &exitError{code, nil}
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
		Args:          suggestCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	config.AddFlags(root.PersistentFlags())
	root.SetFlagErrorFunc(suggestFlag)
	root.AddCommand(
		newApply(), newBoot(), newDied(), newEval(), newExplain(), newFacts(), newLog(), newPolicy(), newRegister(), newRelease(),
		newRescan(), newRestart(), newSchema(), newStart(), newStatus(), newStop(), newUnregister(), newVersion(),
	)
	root.AddCommand(extraCommands()...)
	return root
}
