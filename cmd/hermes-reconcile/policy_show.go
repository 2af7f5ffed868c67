package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/workbench"
)

func newPolicyShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "List the rule packages, and what each contributes for the present home",
		Long: `List the rule packages of all layers with their titles and places, and how many
members each adds to which set for the present home. Packages that are switched off
are listed too.`,
		Args: cobra.NoArgs,
		RunE: configured(policyShow),
	}
}

func policyShow(cmd *cobra.Command, c config.Config, _ []string) error {
	evaluator, err := loadPolicy(c)
	if err != nil {
		return err
	}
	packages, err := workbench.Packages(world.Layers(c), c.Settings)
	if err != nil {
		return policyProblem(err)
	}
	in, homeErr := presentHome(cmd, c)
	if homeErr == nil {
		r := &recorder{Evaluator: evaluator}
		engine.Decide(cmd.Context(), r, in, engine.OnRuleError(c.OnRuleError))
		workbench.Count(packages, r.all)
	}
	return show(cmd, c, packages, func(w io.Writer, all []workbench.Package) { view.Packages(w, all, homeErr) })
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
