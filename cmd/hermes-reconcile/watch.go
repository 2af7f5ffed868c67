package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/service"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy/wait"
)

func newWatch() *cobra.Command {
	var accept bool
	var dry cli.DryRun
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Keep a running container what the rules say (the service that boot makes)",
		Long: `Look again whenever something changes, and do what "apply" does, until a signal ends it.
"watch" makes and removes slots as profiles come and go, and ends and begins holds in time.
A gateway that was stopped by hand, or that ended for good, stays down. "boot" makes a
service of s6 that runs "watch", so there is nothing to start by hand.

A pass that would stop too many gateways (watch.max_stops) stops none. With --accept, the
watch that runs stops them.`,
		Example: `  hermes-reconcile watch --accept     # stop the gateways that it did not stop
  s6-svc -r /run/service/hermes-reconcile   # have another version of the program take over`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case accept:
				return cli.Configured(func(cmd *cobra.Command, c config.Config, _ []string) error { return acceptStops(cmd, c, dry) })(cmd, nil)
			case dry.On:
				return errors.New("--dry-run goes with --accept; hermes-reconcile apply --dry-run shows what a pass would change")
			}
			return runWatch(cmd)
		},
	}
	cmd.Flags().BoolVar(&accept, "accept", false, "let the watch that runs stop the gateways that it did not stop because there are too many")
	dry.Add(cmd, "with --accept: print the gateways that would be stopped, and stop none")
	return cmd
}

// askLimit is how long a command waits for the watch.
const askLimit = 30 * time.Second

func acceptStops(cmd *cobra.Command, c config.Config, dry cli.DryRun) error {
	s, err := watch.ReadState(c.RunDir)
	if errors.Is(err, fs.ErrNotExist) {
		err = watch.ErrNoWatch
	}
	switch {
	case err != nil:
		return cli.DetailedExit(dry.Detailed, false, cli.Failed(fmt.Errorf("watch --accept: %w", err)))
	case len(s.Blocked) > 0 && !dry.On:
		if err = watch.Accept(c.RunDir, s.Blocked, time.Now()); err == nil {
			err = watch.Ask(cmd.Context(), c.RunDir, askLimit)
		}
		if err != nil {
			return cli.Failed(fmt.Errorf("watch --accept: %w", err))
		}
	}
	document := view.Accepted{DryRun: dry.On, Stops: append([]string{}, s.Blocked...)}
	return cli.DetailedExit(dry.Detailed, len(s.Blocked) > 0, cli.Show(cmd, c, document, view.AcceptedLine))
}

// runWatch is the service.
func runWatch(cmd *cobra.Command) error {
	c, wrong, err := config.Read(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	moreGrace.Store(int64(service.LastWait))
	s := service.Service{Flags: cmd.Flags(), Version: version, Status: statusOf, Log: cli.Log(cmd, c), Console: cmd.OutOrStdout()}
	return cli.Failed(s.Run(wait.With(cmd.Context(), nil), c, wrong)) // its log has no other lines
}

// keepApplied tells a watch what a pass over all profiles has carried out.
func keepApplied(c config.Config, r reconcile.Report, log *slog.Logger) {
	if !c.Watch.Enabled || r.Decisions.Profiles == nil {
		return
	}
	if err := watch.KeepApplied(c.RunDir, r); err != nil && !errors.Is(err, fs.ErrPermission) {
		log.Warn("a watch does not know what was applied", "err", err)
	}
}
