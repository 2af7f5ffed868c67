// Package cli is what the commands share: exit statuses, flags, and how a document is printed.
package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/terminal"
	"hermes-reconcile/cmd/hermes-reconcile/view"
)

// The exit statuses.
const (
	ExitDone    = 0
	ExitProfile = 1 // something failed for a profile
	ExitUsage   = 2 // wrong usage or configuration
	ExitPolicy  = 3 // the policy cannot be used
)

// An Error carries an exit status. Without Err there is nothing to print.
type Error struct {
	Code int
	Err  error
}

// Exit returns an error that carries an exit status. Err is nil if its reason has been printed.
func Exit(code int, err error) error {
	if code == ExitDone {
		return nil
	}
	return &Error{code, err}
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Failed gives an error the exit status of what failed for a profile.
func Failed(err error) error {
	if err == nil {
		return nil
	}
	return Exit(ExitProfile, err)
}

// Configured is a command that runs with the configuration.
func Configured(run func(*cobra.Command, config.Config, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := LoadConfig(cmd)
		if err != nil {
			return err
		}
		return run(cmd, c, args)
	}
}

// LoadConfig reads the configuration, and logs which variables are none of its keys.
func LoadConfig(cmd *cobra.Command) (config.Config, error) {
	c, err := config.Load(cmd.Flags(), os.Environ())
	if err == nil {
		LogIgnored(c, Log(cmd, c))
	}
	return c, err
}

// Log is the log of a command.
func Log(cmd *cobra.Command, c config.Config) *slog.Logger {
	return terminal.NewLogger(c, cmd.ErrOrStderr())
}

// LogIgnored logs which variables of the environment are no keys.
func LogIgnored(c config.Config, log *slog.Logger) {
	for _, variable := range c.Ignored {
		log.Warn(variable)
	}
}

// Show prints a document on standard output in the format of the configuration.
func Show[T any](cmd *cobra.Command, c config.Config, document T, table func(io.Writer, T)) error {
	return Failed(view.Print(cmd.OutOrStdout(), c.Output, document, table))
}

// A DryRun has the flags of a command that can show what it would change.
type DryRun struct{ On, Detailed bool }

// Add adds the flags. what is the help of --dry-run.
func (f *DryRun) Add(cmd *cobra.Command, what string) {
	cmd.Flags().BoolVar(&f.On, "dry-run", false, what)
	cmd.Flags().BoolVar(&f.Detailed, "detailed-exitcode", false, "with --dry-run: exit 0 when there is nothing to do, 2 when there is, 1 on an error")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if f.Detailed && !f.On {
			return errors.New("--detailed-exitcode goes with --dry-run")
		}
		return nil
	}
}

// ExitChanges is the exit status of --detailed-exitcode when there is something to do, or a
// difference.
const ExitChanges = 2

// DetailedExit gives what a command found the exit status of --detailed-exitcode, where that
// is given.
func DetailedExit(given, changes bool, err error) error {
	switch {
	case !given:
		return err
	case err == nil && changes:
		return Exit(ExitChanges, nil)
	case err == nil:
		return nil
	}
	if silent, ok := errors.AsType[*Error](err); ok {
		err = silent.Err
	}
	return Exit(ExitProfile, err)
}
