package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
)

// logMost bounds -n, and the passes that are read. The ledger keeps fewer than that.
const logMost = 10_000

func newLog() *cobra.Command {
	var most int
	var all bool
	cmd := &cobra.Command{
		Use:   "log [PROFILE...]",
		Short: "Show what the last boots did with each profile, and what changed between them",
		Long: `Print the ledger of boots as a table. Each profile has a line for each boot, and between
two boots what changed: facts of the profile and of the container, the rules, the image.
Boot 0 is the newest, -1 the one before. With --all, the commands that changed the profile
in the running container have a line too, with the boot before them. What a watch did is in
"hermes-reconcile events".`,
		Example: `  hermes-reconcile log
  hermes-reconcile log coder -n 20
  hermes-reconcile log coder --all
  hermes-reconcile log -o json`,
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, names []string) error {
			return showLog(cmd, c, names, most, all)
		}),
	}
	cmd.Flags().IntVarP(&most, "boots", "n", 5, "how many boots of each profile, the newest; with --all boots and commands")
	cmd.Flags().BoolVar(&all, "all", false, "also the commands that changed a profile in the running container")
	return cmd
}

func showLog(cmd *cobra.Command, c config.Config, names []string, most int, all bool) error {
	if most < 1 || most > logMost {
		return fmt.Errorf("-n is %d, want 1 to %d boots", most, logMost)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), c.Boot.Deadline)
	defer cancel()
	volume, _, err := openVolume(cmd, c)
	if err != nil {
		return err
	}
	defer volume.Close()
	runs, err := volume.Runs(ctx, ledger.Query{Profiles: names, Most: logMost, Boots: !all})
	if err != nil {
		return cli.Failed(fmt.Errorf("the ledger: %w", err))
	}
	if err := cli.PassError(engine.CheckNames(names, runs.Names)); err != nil {
		return err
	}
	return cli.Show(cmd, c, ledger.NewHistory(runs, most), view.History)
}
