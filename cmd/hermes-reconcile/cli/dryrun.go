package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

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
