package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/workbench"
)

func newPolicyShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "List the rule packages, and what each contributes for the present home",
		Long: `List the rule packages of all layers with their titles and places, also those that
are switched off, and how many members each adds to which set for the present home.`,
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
	w := cmd.OutOrStdout()
	return printOr(w, c, packages, func() error { return writePackages(w, packages, homeErr) })
}

// verdicts returns the decisions as rules of the second stage see them.
func verdicts(d policy.Decisions) map[string]policy.Verdict {
	all := make(map[string]policy.Verdict, len(d.Profiles))
	for name, p := range d.Profiles {
		all[name] = policy.Verdict{Action: p.Action, Code: p.Code}
	}
	return all
}

func writePackages(w io.Writer, packages []workbench.Package, homeErr error) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "PACKAGE\tLAYER\tPLACE\tSAYS\tTITLE")
	for _, p := range packages {
		fmt.Fprintf(table, "%s\t%s\t%s:%d\t%s\t%s\n", p.Name, policy.Line(p.Layer), policy.Line(p.File), p.Row, contributed(p), cmp.Or(policy.Line(p.Title), "-"))
	}
	if err := table.Flush(); err != nil || homeErr == nil {
		return err
	}
	_, err := fmt.Fprintf(w, "What they say of a home is not shown: %v\n", homeErr)
	return err
}

// contributed prints what a package contributed, in the order of the sets.
func contributed(p workbench.Package) string {
	switch {
	case p.Off:
		return "switched off"
	case len(p.Failures) > 0:
		return "breaks"
	case p.Stage == rego.KindLib:
		return "(helpers)"
	}
	var parts []string
	for _, set := range policy.Sets {
		if n := p.Contributed[set]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, set))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}
