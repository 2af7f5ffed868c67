package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// logMost bounds -n. The ledger keeps fewer boots than that.
const logMost = 10_000

func newLog() *cobra.Command {
	var boots int
	cmd := &cobra.Command{
		Use:   "log [PROFILE...]",
		Short: "Show what the last boots did with each profile, and what changed between them",
		Long: `Print the ledger of boots as a table. Each profile has a line for each boot, and between
two boots what changed: facts of the profile and of the container, the rules, the image.
Boot 0 is the newest, -1 the one before. What a watch did in between is in
"hermes-reconcile events".`,
		Example: `  hermes-reconcile log
  hermes-reconcile log coder -n 20
  hermes-reconcile log -o json`,
		RunE: configured(func(cmd *cobra.Command, c config.Config, names []string) error {
			return showLog(cmd, c, names, boots)
		}),
		ValidArgsFunction: completeProfiles,
	}
	cmd.Flags().IntVarP(&boots, "boots", "n", 5, "how many boots, the newest")
	return cmd
}

func showLog(cmd *cobra.Command, c config.Config, names []string, boots int) error {
	if boots < 1 || boots > logMost {
		return fmt.Errorf("-n is %d, want 1 to %d boots", boots, logMost)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), c.Boot.Deadline)
	defer cancel()
	world.AsUpstream(&c, newLogger(c, cmd.ErrOrStderr()))
	volume, err := world.Volume(c, policy.PhaseBoot)
	if err != nil {
		return failed(err)
	}
	defer volume.Close()
	// One more, to compare the oldest with.
	runs, err := volume.Runs(ctx, ledger.Query{Profiles: names, Most: boots + 1})
	if err != nil {
		return failed(fmt.Errorf("the ledger: %w", err))
	}
	if err := knownNames(runs.Names, names); err != nil {
		return err
	}
	return show(cmd, c, ledger.NewHistory(runs, boots), view.History)
}
