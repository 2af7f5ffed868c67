package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6"
)

// liveFlags are the flags of the commands that start or stop gateways.
type liveFlags struct {
	timeout time.Duration
	upFor   time.Duration
	wait    bool
	kill    bool
	all     bool
	dryRun  cli.DryRun
}

// add adds the flags of a command. Some commands can start gateways, and some can kill them.
func (f *liveFlags) add(cmd *cobra.Command, starts, kills bool) {
	cmd.Flags().DurationVar(&f.timeout, "timeout", 10*time.Second, "how long a gateway gets to start or to stop, and a supervisor to appear")
	cmd.Flags().BoolVar(&f.wait, "wait", true, "wait until the gateways are up or down; --wait=false only sends the commands")
	if starts {
		cmd.Flags().DurationVar(&f.upFor, "up-for", defaultUpFor, "how long a gateway has to stay up, also one that does not say whether it works")
	}
	if kills {
		cmd.Flags().BoolVar(&f.kill, "kill", false, "kill a gateway that does not stop within --timeout, and what it started and left")
	}
}

// defaultUpFor goes with every --timeout, also with one that is shorter: not every command
// has something to start. A gateway that cannot work often ends only after it has loaded its
// libraries.
const defaultUpFor = time.Second

// check checks the times, and that there are either names or --all.
func (f liveFlags) check(names []string) error {
	switch {
	case f.timeout <= 0:
		return fmt.Errorf("--timeout is %v, want more than 0, such as 30s", f.timeout)
	case f.upFor < 0 || f.upFor > defaultUpFor && f.upFor >= f.timeout:
		return fmt.Errorf("--up-for is %v, want 0 or more, and less than --timeout (%v)", f.upFor, f.timeout)
	case f.all && len(names) > 0:
		return errors.New("--all means every profile: leave the names out")
	case !f.all && len(names) == 0:
		return errors.New("which profile? Give names, or --all")
	}
	return nil
}

// pass runs a pass on the running container. A dry run only looks.
func (f liveFlags) pass(cmd *cobra.Command, c config.Config, o reconcile.Options) (reconcile.Report, error) {
	o.Phase, o.Rescan = policy.PhaseApply, true
	o.Execute = policy.ExecuteOptions{Wait: f.timeout, UpFor: f.upFor, NoWait: !f.wait, Kill: f.kill}
	if f.dryRun.On {
		o.Extent = reconcile.ToPlan
		return cli.Pass(cmd, c, nil, o)
	}
	o.Extent = reconcile.ToEnd
	// The pass waits for another pass, a stop, a start, and the answer of s6-svscan.
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*c.Boot.Deadline+6*f.timeout)
	defer cancel()
	log := cli.Log(cmd, c)
	w, closeWorld, err := world.New(c, policy.PhaseApply, log, world.NoLog)
	if err != nil {
		return reconcile.Report{}, err
	}
	defer closeWorld()
	w.Slots.(*s6.Executor).LockTimeout = c.Boot.Deadline + f.timeout // a boot may be under way
	if !c.Watch.Enabled {                                            // else the watch tells at its next pass what this one decided
		w.LogDecisions = world.DecisionLog(c, version, nil, log)
	} else {
		w.Poke = func(ctx context.Context) error { return watch.Ask(ctx, c.RunDir, askLimit) }
	}
	r, err := reconcile.Pass(ctx, w, o)
	if o.Request.Kind == reconcile.Converge {
		keepApplied(c, r, log)
	}
	return r, cli.PassError(err)
}

// run runs a pass on the running container, and prints its report.
func (f liveFlags) run(cmd *cobra.Command, c config.Config, o reconcile.Options) error {
	r, err := f.pass(cmd, c, o)
	if err == nil {
		err = cmp.Or(cli.Show(cmd, c, r, view.Report), liveVerdict(r))
	}
	return cli.DetailedExit(f.dryRun.Detailed, r.Changes(), err)
}

// liveVerdict is the exit status of a report.
func liveVerdict(r reconcile.Report) error {
	switch {
	case len(reconcile.Broken(r.Decisions)) > 0:
		return cli.Exit(cli.ExitPolicy, nil)
	case r.Failed():
		return cli.Exit(cli.ExitProfile, nil) // the report has the problems
	}
	return nil
}
