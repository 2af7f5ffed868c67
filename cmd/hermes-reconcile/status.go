package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/metrics"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine/decisionlog"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
)

type statusFlags struct {
	textfile string
	check    bool
	color    string
	format   string // one that only this command has, or empty
}

func newStatus() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status [PROFILE...]",
		Short: "Show for every profile what is wanted, what runs, and why; nothing is touched",
		Long: `Decide as "apply" would now, look at the slots and their processes, and show both side
by side: what should be up, what is up, and which gateway serves it. The supervisor's lock
and the process decide what is up, not a file alone.

Exit status: 0 shown, 1 the volume cannot be read (slots and processes are still shown),
2 wrong usage, 3 a rule broke. With --check: 1 when something that is wanted is not up or
in a crash loop, when rules or settings do not count as they are, when another user could
have written what only root may write, or when the watch does not run.`,
		Example: `  hermes-reconcile status
  hermes-reconcile status coder -o wide
  hermes-reconcile status --check           # a health check: prints nothing when all is well
  hermes-reconcile status --textfile /var/lib/node_exporter/textfile/hermes.prom`,
		RunE: func(cmd *cobra.Command, args []string) error { return runStatus(cmd, f, args) },
	}
	flags := cmd.Flags()
	flags.StringP("output", "o", "", "table, wide (all columns, absolute times), name (one profile a line), json, yaml or prometheus (default table)")
	flags.StringVar(&f.color, "color", "auto", "auto (on a terminal, unless NO_COLOR is set), always or never")
	flags.StringVar(&f.textfile, "textfile", "", "write Prometheus text to this file, whose name ends in .prom, and print nothing")
	flags.BoolVar(&f.check, "check", false, "print only what is wrong, and then exit 1")
	return cmd
}

func runStatus(cmd *cobra.Command, f statusFlags, names []string) error {
	for _, format := range []string{"wide", "name", "prometheus"} {
		if cli.TakeFormat(cmd, format) {
			f.format = format
		}
	}
	c, err := cli.LoadConfig(cmd)
	if err != nil {
		return err
	}
	if f.textfile != "" && !strings.HasSuffix(f.textfile, ".prom") {
		return fmt.Errorf("--textfile %s: want a name that ends in .prom, the collector reads no other", f.textfile)
	}
	if !slices.Contains([]string{"auto", "always", "never"}, f.color) {
		return fmt.Errorf("--color is %q, want auto, always or never", f.color)
	}
	d, code, err := currentStatus(cmd, c, nil, names)
	if err != nil {
		return err
	}
	if f.textfile != "" {
		if err := metrics.WriteFile(f.textfile, d); err != nil {
			return cli.Failed(fmt.Errorf("--textfile: %w", err))
		}
	}
	switch {
	case f.check:
		for _, line := range d.Unhealthy() {
			fmt.Fprintln(cmd.OutOrStdout(), policy.Line(line))
			code = cli.ExitProfile
		}
	case f.textfile == "":
		err = f.show(cmd, c, d)
	}
	return cmp.Or(err, cli.Exit(code, nil))
}

func (f statusFlags) show(cmd *cobra.Command, c config.Config, d *status.Document) error {
	switch {
	case f.format == "name":
		return cli.Show(cmd, c, d, view.Names)
	case f.format == "prometheus":
		return cli.Show(cmd, c, d, metrics.Print)
	case c.Output != "table":
		return cli.Show(cmd, c, d, nil)
	}
	screen, out := cli.Screen(f.color, cmd.OutOrStdout())
	screen.Wide = f.format == "wide"
	return cli.Failed(view.Print(out, c.Output, d, screen.Status))
}

// currentStatus looks at everything, and returns the exit status that it deserves. A volume
// that cannot be read is part of the result. A user who cannot plan cannot know which slots
// another user could have written, nor how many fit.
func currentStatus(cmd *cobra.Command, c config.Config, rules reconcile.Rules, names []string) (*status.Document, int, error) {
	r, err := cli.Pass(cmd, c, rules, reconcile.Options{Phase: policy.PhaseApply, Extent: reconcile.ToPlan, FallBack: true})
	if err != nil {
		return nil, 0, err
	}
	if cmd.Context().Err() != nil {
		return nil, 0, cli.Failed(errors.New("interrupted"))
	}
	state, err := watch.ReadState(c.RunDir)
	d := statusOf(c, r, state, err)
	if err := d.Keep(names); err != nil {
		return nil, 0, cli.PassError(err)
	}
	return d, statusCode(r, d), nil
}

// statusCode is the exit status that a status deserves.
func statusCode(r reconcile.Report, d *status.Document) int {
	switch {
	case !d.Volume.Readable, r.VolumeErr != nil:
		return cli.ExitProfile
	case len(reconcile.Broken(r.Decisions)) > 0:
		return cli.ExitPolicy
	case !d.Certain():
		return cli.ExitProfile
	}
	return cli.ExitDone
}

// statusOf lays out what a pass found. State is what the watch wrote, or the error of reading it.
func statusOf(c config.Config, r reconcile.Report, state watch.State, stateErr error) *status.Document {
	decisions := r.Decisions
	decisions.Alarms = slices.Clone(decisions.Alarms)
	for _, a := range r.Plan.Alarms {
		if a.Code == policy.CodeUntrusted || a.Profile == "" {
			decisions.Alarms = append(decisions.Alarms, a)
		}
	}
	d := status.New(c.ScanDir, r.Situation, decisions)
	d.AddWatch(c.Watch.Enabled, c.Watch.Resync, state, stateErr)
	if c.LogsDecisions() {
		logged, err := decisionlog.ReadState(c.RunDir)
		d.AddDecisionLog(logged, state.Uploads, err)
	}
	bundles, _ := watch.Read[[]policy.Bundle](c.RunDir, watch.BundlesFile) // the state has what is wrong with the directory
	d.AddBundles(bundles)
	return d
}
