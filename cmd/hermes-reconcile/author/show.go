package author

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/workbench"
)

func newPolicyShow() *cobra.Command {
	var source bool
	cmd := &cobra.Command{
		Use:   "show [RULE...]",
		Short: "List the rule packages, and what each contributes for the present home",
		Long: `List the rule packages of all layers with their titles and places, and how many
members each adds to which set for the present home. Packages that are switched off
are listed too. With --source, print the text of the named packages, also of built-in ones.
A name may be short: quiet_hours for reconcile.rules.quiet_hours.`,
		Example: `  hermes-reconcile policy show
  hermes-reconcile policy show fatal_exit --source`,
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, names []string) error {
			if source && len(names) == 0 {
				return errors.New("--source prints the text of packages: name them")
			}
			return policyShow(cmd, c, names, source)
		}),
	}
	cmd.Flags().BoolVar(&source, "source", false, "print the text of the named packages")
	return cmd
}

func policyShow(cmd *cobra.Command, c config.Config, names []string, source bool) error {
	packages, err := workbench.Packages(world.Layers(c), c.Settings)
	if err != nil {
		return cli.Exit(cli.ExitPolicy, err)
	}
	if packages, err = workbench.Named(packages, names); err != nil {
		return err
	}
	if source {
		return cli.Show(cmd, c, view.RuleList{Rules: packages}, view.Sources)
	}
	for i := range packages {
		packages[i].Source = ""
	}
	evaluator, err := cli.LoadPolicy(c)
	if err != nil {
		return err
	}
	in, homeErr := presentHome(cmd, c)
	if homeErr == nil {
		r := &recorder{Evaluator: evaluator}
		engine.Decide(cmd.Context(), r, in, engine.OnRuleError(c.OnRuleError))
		workbench.Count(packages, r.all)
	}
	return cli.Show(cmd, c, view.RuleList{Rules: packages}, func(w io.Writer, l view.RuleList) { view.Packages(w, l, homeErr) })
}

// A recorder keeps what the rules of both stages say.
type recorder struct {
	*rego.Evaluator
	all policy.Evaluation
}

func (r *recorder) Evaluate(ctx context.Context, stage policy.Stage, in policy.Input) policy.Evaluation {
	e := r.Evaluator.Evaluate(ctx, stage, in)
	r.all.Contributions = append(r.all.Contributions, e.Contributions...)
	r.all.Failures = append(r.all.Failures, e.Failures...)
	return e
}
