package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/terminal"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/wait"
	"hermes-reconcile/rego/process"
)

func newBoot() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "boot",
		Short: "Bring the gateways back after a container restart (the cont-init hook)",
		Long: `Collect the facts, decide, make the slots, sweep stale runtime files, and write the
boot log. "boot" is the cont-init hook. A broken policy, profile or log file must not
keep the container from starting: "boot" exits 0 unless --strict is given, or a
signal ends it early. Nothing runs until s6-svscan scans; s6-overlay scans after the
last cont-init script.`,
		Args: cobra.NoArgs,
		RunE: boot,
	}
	cmd.Flags().Bool("strict", false, "exit 1 when something failed, 2 on a wrong configuration, 3 when the policy could not be used")
	cmd.Flags().String("rescan", "", "never: leave the scan to the caller; now: ask s6-svscan for a scan, and verify (default never)")
	cmd.Flags().Bool("no-watch", false, "make no service that keeps the gateways as decided; watch.enabled: false is for good")
	cmd.Flags().String("deadline", "", "give up after this time (default 30s)")
	cli.CompleteWords(cmd, cmd.Flags())
	return cmd
}

func boot(cmd *cobra.Command, _ []string) error {
	remote.TuneMemory()
	// A child takes a third of a boot with few profiles to start, so it starts first.
	child, childErr := remote.Spawn()
	if childErr == nil {
		defer child.Close()
	}
	c, wrong, err := config.Read(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	rules := &process.Rules{}
	defer rules.Close()
	if len(c.Policy) > 0 {
		rules.Start()
	}
	// The reader of standard output may exit before the boot log is written, or never read.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	terminal.DoNotWait(cmd.OutOrStdout())
	log := cli.Log(cmd, c)
	cli.LogIgnored(c, log)
	options := bootOptions(c, reconcile.ToEnd)
	options.FallBack = true
	for _, problem := range world.Usable(&c, wrong) {
		log.Error(problem.Reason)
		options.Errors = append(options.Errors, problem.Reason)
	}
	world.Configure(rules, c, log)
	ctx, cancel := context.WithTimeout(wait.With(cmd.Context(), nil), c.Boot.Deadline) // its log has no other lines
	defer cancel()
	w, _, err := world.On(c, rules, log, log, func() (*remote.Child, error) {
		s, err := world.VolumeSettings(c, policy.PhaseBoot)
		if err := cmp.Or(childErr, err); err != nil {
			return nil, err
		}
		return child, child.Configure(s)
	})
	if err != nil {
		return cli.Exit(cli.ExitUsage, err)
	}
	w.LogDecisions = world.DecisionLog(c, version, cmd.OutOrStdout(), log)
	r, err := reconcile.Pass(ctx, w, options)
	if cmd.Context().Err() != nil && (err != nil || r.Failed()) {
		return cli.Exit(cli.ExitProfile, errors.New("ended by a signal before all slots and logs were made"))
	}
	if err != nil {
		return cli.Exit(cli.ExitProfile, err)
	}
	keepApplied(c, r, log)
	_ = view.Print(cmd.OutOrStdout(), c.Output, r.Decisions, view.Boot) // its reader may be gone
	if !c.Boot.Strict {
		return nil
	}
	return cli.Exit(strictCode(options, r), nil)
}

// strictCode is the exit status for the first thing that went wrong.
func strictCode(o reconcile.Options, r reconcile.Report) int {
	switch {
	case len(o.Errors) > 0:
		return cli.ExitUsage
	case !r.Failed():
		return cli.ExitDone
	case r.RulesFailed:
		return cli.ExitPolicy
	}
	return cli.ExitProfile
}

// bootOptions are those of a boot, also for the commands that show what a boot would do.
func bootOptions(c config.Config, extent reconcile.Extent) reconcile.Options {
	return reconcile.Options{Phase: policy.PhaseBoot, Extent: extent, Rescan: c.Boot.Rescan == "now"}
}
