package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// A dryRun has the flags of a command that can show what it would change.
type dryRun struct{ on, detailed bool }

func (f *dryRun) add(cmd *cobra.Command, what string) {
	cmd.Flags().BoolVar(&f.on, "dry-run", false, what)
	cmd.Flags().BoolVar(&f.detailed, "detailed-exitcode", false, "with --dry-run: exit 0 when there is nothing to do, 2 when there is, 1 on an error")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if f.detailed && !f.on {
			return errors.New("--detailed-exitcode goes with --dry-run")
		}
		return nil
	}
}

// exitChanges is the exit status of --detailed-exitcode when there is something to do, or a
// difference.
const exitChanges = 2

// detailedExit gives what a command found the exit status of --detailed-exitcode, where that
// is given.
func detailedExit(given, changes bool, err error) error {
	switch {
	case !given:
		return err
	case err == nil && changes:
		return &exitError{exitChanges, nil}
	case err == nil:
		return nil
	}
	if silent, ok := errors.AsType[*exitError](err); ok {
		err = silent.err
	}
	return &exitError{exitProfile, err}
}
