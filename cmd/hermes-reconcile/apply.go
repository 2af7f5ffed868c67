package main

import (
	"errors"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/engine/reconcile"
)

func newApply() *cobra.Command {
	var f liveFlags
	var restartChanged, diff bool
	var when asOf
	cmd := &cobra.Command{
		Use:   "apply [PROFILE...]",
		Short: "Make a running container what the rules say: only differences are changed",
		Long: `Collect the facts, decide, and change what differs. New slots are made and scanned for.
Slots change file by file. Gateways start and stop as the decisions and the recorded
intent say. Slots of profiles that are gone are removed. Slots that are right, and slots
that another program made, are left alone. "apply" is safe at any time.

With rules that cannot be used nothing is touched (exit 3). A gateway whose run script
changed goes on until its next start, unless --restart-changed is given.`,
		Example: `  hermes-reconcile apply --dry-run          # what would it change?
  hermes-reconcile apply --dry-run --diff   # and which lines of the scripts?
  hermes-reconcile apply --dry-run --at "Mon 07:00"
  hermes-reconcile apply
  hermes-reconcile apply coder --restart-changed`,
	}
	f.add(cmd, true, true)
	cmd.Flags().BoolVar(&restartChanged, "restart-changed", false, "also restart gateways that run with an older run script than their slot has")
	cmd.Flags().BoolVar(&diff, "diff", false, "also show which lines of a slot's files change")
	f.dryRun.Add(cmd, "print decisions and plan, and touch nothing")
	when.add(cmd)
	cmd.RunE = cli.Configured(func(cmd *cobra.Command, c config.Config, names []string) error {
		f.all = len(names) == 0
		if err := f.check(names); err != nil {
			return err
		}
		o := reconcile.Options{Command: "apply", RestartChanged: restartChanged, Diff: diff, Request: reconcile.Request{Profiles: names}}
		if err := when.amend(cmd, &o); err != nil {
			return err
		}
		if !f.dryRun.On && when.at != "" {
			return errors.New("--at only looks: it goes with --dry-run")
		}
		if !f.dryRun.On {
			return f.run(cmd, c, o)
		}
		r, err := f.pass(cmd, c, o)
		changes := false
		if err == nil {
			changes, err = showDecisions(cmd, c, r, nil, true)
		}
		return cli.DetailedExit(f.dryRun.Detailed, changes, err)
	})
	return cmd
}
