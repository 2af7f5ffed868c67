package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/policy"
)

// eventsMost bounds -n, and what is shown at once.
const eventsMost = 1000

// eventsInterval is the time from one look at the ledger to the next.
const eventsInterval = time.Second

func newEvents() *cobra.Command {
	var most int
	var follow bool
	cmd := &cobra.Command{
		Use:   "events [PROFILE...]",
		Short: "Show what was done to gateways and their slots, and why",
		Long: `Print a line for each profile that a pass changed: when, what was done, the reason, and
the command. For a pass of the watch the line also says why it looked. The newest is
last; -f goes on until ctrl-c. With -o json each line is an object.

Use events to see what happens now. Use log to compare boots: it has every decision of
each boot, also where nothing was done, and what changed between two boots.`,
		Example: `  hermes-reconcile events
  hermes-reconcile events coder -n 100
  hermes-reconcile events -f -o json`,
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, names []string) error {
			if most < 1 || most > eventsMost {
				return fmt.Errorf("-n is %d, want 1 to %d events", most, eventsMost)
			}
			return showEvents(cmd, c, ledger.Query{Events: true, Profiles: names, Most: most}, follow)
		}),
	}
	cmd.Flags().IntVarP(&most, "events", "n", 20, "how many events, the newest")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with events as they come")
	return cmd
}

// showEvents prints the events that a query finds, and with follow those that come later,
// until the context ends.
func showEvents(cmd *cobra.Command, c config.Config, q ledger.Query, follow bool) error {
	volume, log, err := openVolume(cmd, c)
	if err != nil {
		return err
	}
	defer volume.Close()
	return again(cmd.Context(), eventsInterval, follow, func() error {
		found, err := volume.Runs(cmd.Context(), q)
		if err != nil {
			return cli.Failed(fmt.Errorf("the ledger: %w", err))
		}
		if q.After == nil {
			if err := cli.PassError(engine.CheckNames(q.Profiles, found.Names)); err != nil {
				return err
			}
			for _, note := range found.Notes {
				log.Warn("the ledger", "err", note)
			}
		}
		q.After, q.Most = found.Places, eventsMost
		return cli.Failed(view.Stream(cmd.OutOrStdout(), c.Output, found.Events, view.Events))
	})
}

// openVolume opens the volume for a command that shows what is recorded there.
func openVolume(cmd *cobra.Command, c config.Config) (*remote.Child, *slog.Logger, error) {
	log := cli.Log(cmd, c)
	world.AsUpstream(&c, log)
	volume, err := world.Volume(c, policy.PhaseBoot)
	return volume, log, cli.Failed(err)
}

// again calls look once, or with follow again and again until it fails or the context ends.
func again(ctx context.Context, every time.Duration, follow bool, look func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := look()
		switch {
		case follow && ctx.Err() != nil:
			return nil
		case err != nil || !follow:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
