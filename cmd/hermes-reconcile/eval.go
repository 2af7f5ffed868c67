package main

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/explain"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/process"
)

type evalFlags struct {
	dryRun       bool
	detailedExit bool
	compare      bool
	when         asOf
}

func newEval() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval [PROFILE...]",
		Short: "Decide and print what would be done, and why; nothing is touched",
		Example: `  hermes-reconcile eval                     # what would the next boot decide?
  hermes-reconcile eval --dry-run           # and what would it change?
  hermes-reconcile eval --dry-run --phase apply   # and what would apply change now?
  hermes-reconcile eval --at "Mon 07:00"    # what would it decide on Monday?
  hermes-reconcile eval --policy ./mine     # with the rules of another directory
  hermes-reconcile eval --policy ./mine --compare   # and which profiles does that change?
  hermes-reconcile facts -o json > saved.json
  hermes-reconcile eval --input saved.json  # decide on saved facts`,
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, profiles []string) error {
			return eval(cmd, c, f, profiles)
		}),
	}
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "also print the plan, computed against the scan directory")
	cmd.Flags().BoolVar(&f.detailedExit, "detailed-exitcode", false, "with --dry-run or --compare: exit 0 when there is nothing to do or no difference, 2 when there is, 1 on an error")
	f.when.addSituation(cmd)
	cmd.Flags().BoolVar(&f.compare, "compare", false, "print only what the rules of --policy decide otherwise than the rules of the configuration")
	return cmd
}

func eval(cmd *cobra.Command, c config.Config, f evalFlags, profiles []string) error {
	if f.compare && f.dryRun {
		return errors.New("--compare is about decisions and makes no plan: leave --dry-run out")
	}
	if f.detailedExit && !f.dryRun && !f.compare {
		return errors.New("--detailed-exitcode goes with --dry-run or --compare")
	}
	changes, err := runEval(cmd, c, f, profiles)
	return cli.DetailedExit(f.detailedExit, changes, err)
}

// runEval prints the decisions, and reports whether the plan has operations or, with --compare,
// whether there is a difference.
func runEval(cmd *cobra.Command, c config.Config, f evalFlags, profiles []string) (changes bool, err error) {
	options := bootOptions(c, reconcile.ToDecisions)
	if f.dryRun {
		options.Extent = reconcile.ToPlan
	}
	if err := f.when.amend(cmd, &options); err != nil {
		return false, err
	}
	rules := world.Rules(c)
	defer rules.Close()
	rules.Print = cmd.ErrOrStderr()
	if f.compare {
		return compare(cmd, c, rules, options, profiles)
	}
	r, err := cli.Pass(cmd, c, rules, options)
	if err != nil {
		return false, err
	}
	return showDecisions(cmd, c, r, profiles, f.dryRun)
}

// showDecisions prints what a look decided, about the named profiles or about all, and with
// planned what would be done. It reports whether that is anything.
func showDecisions(cmd *cobra.Command, c config.Config, r reconcile.Report, names []string, planned bool) (changes bool, err error) {
	if r.PlanErr != nil {
		return false, cli.Failed(r.PlanErr)
	}
	d := r.Decisions
	d.Alarms, d.Plan = r.Alarms, r.Plan.Operations
	if len(names) > 0 {
		if d.Profiles, err = engine.Only(d.Profiles, names); err != nil {
			return false, cli.PassError(r.OrUncertain(err))
		}
		d.Plan = slices.DeleteFunc(slices.Clone(d.Plan), func(op policy.Operation) bool { return !slices.Contains(names, op.Profile) })
	}
	table := view.Decisions
	if planned {
		table = view.DecisionsAndPlan
	}
	return len(d.Plan) > 0, cmp.Or(cli.Show(cmd, c, d, table), trouble(r))
}

// trouble is the exit status of a look that ended and did not go well. What went wrong has
// been printed.
func trouble(r reconcile.Report) error {
	switch {
	case len(reconcile.Broken(r.Decisions)) > 0, reconcile.WrongSettings(r.Decisions):
		return cli.Exit(cli.ExitPolicy, nil)
	case r.VolumeErr != nil:
		return cli.Exit(cli.ExitProfile, nil)
	}
	return nil
}

// compare prints what rules decide otherwise than the rules of the configuration without the
// flags, and reports whether that is anything.
func compare(cmd *cobra.Command, candidate config.Config, rules *process.Rules, o reconcile.Options, profiles []string) (different bool, err error) {
	if !cmd.Flags().Changed("policy") {
		return false, errors.New("--compare compares the rules of --policy with the present ones: give --policy DIR")
	}
	candidateRules, err := rules.Load(cmd.Context())
	if err != nil {
		return false, cli.PassError(&reconcile.RulesError{Err: err})
	}
	present := candidate
	present.Policy = candidate.PolicyWithoutFlags
	o.FallBack = true
	was, err := cli.Pass(cmd, present, nil, o)
	if err != nil {
		return false, err
	}
	if !was.Decisions.Policy.Fallback {
		was.Decisions.Policy.Errors = reconcile.Broken(was.Decisions)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), candidate.Boot.Deadline)
	defer cancel()
	would := was
	would.Decisions = engine.Decide(ctx, candidateRules, was.Input, engine.OnRuleError(candidate.OnRuleError))
	would.Decisions.Alarms = append(would.Decisions.Alarms, was.Situation.Alarms()...)
	c, err := explain.Compare(was.Decisions, would.Decisions, profiles)
	if err != nil {
		return false, cli.PassError(err)
	}
	return len(c.Profiles) > 0, cmp.Or(cli.Show(cmd, candidate, c, view.Comparison), trouble(would))
}
