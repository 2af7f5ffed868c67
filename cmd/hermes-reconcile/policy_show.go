package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

func newPolicyShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "List the rule packages, and what each says of the present home",
		Long: `List the rule packages of all layers with their titles and places, those that are
switched off too, and how many members each adds to which set for the present
home.`,
		Args: cobra.NoArgs,
		RunE: policyShow,
	}
}

// A shownPackage is a package with what it contributed.
type shownPackage struct {
	rego.Package
	// Contributed counts by set; null where there is no home to evaluate.
	Contributed map[policy.Set]int `json:"contributed"`
	Failures    []string           `json:"failures,omitempty"`
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
	packages, err := rego.Packages(layers(c), c.Settings)
	if err != nil {
		return policyProblem(err)
	}
	in, homeErr := presentHome(cmd, c)
	shown := make([]shownPackage, len(packages))
	for i, p := range packages {
		shown[i].Package = p
	}
	if homeErr == nil {
		contribute(cmd.Context(), evaluator, in, engine.OnRuleError(c.OnRuleError), shown)
	}
	if c.Output != "table" {
		return view.Document(cmd.OutOrStdout(), c.Output, shown)
	}
	if err := writePackages(cmd.OutOrStdout(), shown); err != nil {
		return err
	}
	if homeErr != nil {
		fmt.Fprintf(cmd.OutOrStdout(), "What they say of a home is not shown: %v\n", homeErr)
	}
	return nil
}

// contribute evaluates both stages, and counts what each package said.
func contribute(ctx context.Context, e *rego.Evaluator, in policy.Input, onRuleError engine.OnRuleError, shown []shownPackage) {
	evaluation := e.Evaluate(ctx, policy.StageRules, in)
	decisions := engine.Combine(in, evaluation, onRuleError)
	in.Decisions = make(map[string]policy.Verdict, len(decisions.Profiles))
	for name, d := range decisions.Profiles {
		in.Decisions[name] = policy.Verdict{Action: d.Action, Code: d.Code}
	}
	after := e.Evaluate(ctx, policy.StageAfter, in)
	byName := make(map[string]*shownPackage, len(shown))
	for i := range shown {
		byName[shown[i].Name] = &shown[i]
		if !shown[i].Off {
			shown[i].Contributed = map[policy.Set]int{}
		}
	}
	for _, c := range append(evaluation.Contributions, after.Contributions...) {
		if p := byName[c.Rule]; p != nil && p.Contributed != nil {
			p.Contributed[c.Set]++
		}
	}
	for _, f := range append(evaluation.Failures, after.Failures...) {
		if p := byName[f.Rule]; p != nil {
			p.Failures = append(p.Failures, strings.TrimPrefix(f.Location+": "+f.Error, ": "))
		}
	}
}

func writePackages(w io.Writer, shown []shownPackage) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "PACKAGE\tLAYER\tPLACE\tSAYS\tTITLE")
	for _, p := range shown {
		fmt.Fprintf(table, "%s\t%s\t%s:%d\t%s\t%s\n", p.Name, policy.Line(p.Layer), policy.Line(p.File), p.Row, says(p), cmp.Or(policy.Line(p.Title), "-"))
	}
	return table.Flush()
}

// says is what a package contributed, in the order of the sets.
func says(p shownPackage) string {
	switch {
	case p.Off:
		return "switched off"
	case len(p.Failures) > 0:
		return "breaks"
	case p.Stage == "lib":
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
