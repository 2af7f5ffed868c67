package main

import (
	"os"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
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
		RunE: policyShow,
	}
}

func policyShow(cmd *cobra.Command, _ []string) error {
	c, err := config.Load(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	evaluator, err := loadPolicy(c)
	if err != nil {
		return err
	}
	packages, err := workbench.Packages(layers(c), c.Settings)
	if err != nil {
		return policyProblem(err)
	}
	in, homeErr := presentHome(cmd, c)
	if homeErr == nil {
		workbench.Count(cmd.Context(), packages, evaluator, in, func(first policy.Evaluation) map[string]policy.Verdict {
			return verdicts(engine.Combine(in, first, engine.OnRuleError(c.OnRuleError)))
		})
	}
	return view.Packages(cmd.OutOrStdout(), c.Output, packages, homeErr)
}

// verdicts returns the decisions as rules of the second stage see them.
func verdicts(d policy.Decisions) map[string]policy.Verdict {
	all := make(map[string]policy.Verdict, len(d.Profiles))
	for name, p := range d.Profiles {
		all[name] = policy.Verdict{Action: p.Action, Code: p.Code}
	}
	return all
}
