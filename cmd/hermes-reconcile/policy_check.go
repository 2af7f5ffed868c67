package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/rego/check"
	"hermes-reconcile/rego/example"
)

func newPolicyCheck() *cobra.Command {
	var strict, codes bool
	cmd := &cobra.Command{
		Use:   "check [DIR]",
		Short: "Find mistakes in rules, also those that Rego accepts",
		Long: `Find mistakes in rules before a boot does: text that does not parse or compile,
facts and settings that do not exist, sets and members that are written wrongly,
rules that work but are probably a mistake, tests that test nothing. If there are
no errors, the rules are evaluated over example situations and the present home.

--output github prints workflow commands, which show findings at their lines in a
pull request. --codes lists every code.

Exit status: 0 no errors (there may be warnings), 3 errors. With --strict also 3
for warnings.`,
		Example: `  hermes-reconcile policy check ./rules
  hermes-reconcile policy check ./rules --strict --output github`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			github := takeFormat(cmd, "github")
			if codes {
				c, err := authorConfig(cmd, nil)
				if err != nil {
					return err
				}
				return show(cmd, c, check.Codes(), view.Codes)
			}
			return policyCheck(cmd, args, github, strict)
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "exit 3 for warnings too")
	cmd.Flags().BoolVar(&codes, "codes", false, "list the codes, what they mean and how to fix them")
	return cmd
}

func policyCheck(cmd *cobra.Command, dirs []string, github, strict bool) error {
	c, all, err := authorLayers(cmd, dirs)
	if err != nil {
		return err
	}
	options, err := world.PolicyOptions(c)
	if err != nil {
		return policyProblem(err)
	}
	o := check.Options{Options: options}
	home, homeErr := presentHome(cmd, c)
	if homeErr == nil {
		o.Situations = []example.Situation{{Name: "the present home", Input: home}}
	}
	report := check.Check(cmd.Context(), all, o)
	table := view.Findings
	if github {
		table = view.GithubFindings
	}
	if err := show(cmd, c, report, table); err != nil {
		return err
	}
	if c.Output == "table" && !github && homeErr != nil && len(report.Situations) > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "The present home was not tried: %v\n", homeErr)
	}
	if report.Errors() > 0 || strict && len(report.Findings) > 0 {
		return policyProblem(nil)
	}
	return nil
}
