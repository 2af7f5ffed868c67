package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/policy"
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
rules that work but are probably not meant so, tests that test nothing. Rules
without errors are then evaluated over example situations and the present home.

--output github prints workflow commands, which show findings at their lines in a
pull request. --codes lists every code.

Exit status: 0 no errors (there may be warnings), 3 errors; with --strict also 3
for warnings.`,
		Example: `  hermes-reconcile policy check ./rules
  hermes-reconcile policy check ./rules --strict --output github`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			github := takeGithub(cmd)
			if codes {
				return writeCodes(cmd)
			}
			return policyCheck(cmd, args, github, strict)
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "exit 3 for warnings too")
	cmd.Flags().BoolVar(&codes, "codes", false, "list the codes, what they mean and how to fix them")
	return cmd
}

// takeGithub reports whether --output is github, which only this command has, and resets
// the flag.
func takeGithub(cmd *cobra.Command) bool {
	if format, _ := cmd.Flags().GetString("output"); format != "github" {
		return false
	}
	return cmd.Flags().Set("output", "table") == nil
}

func policyCheck(cmd *cobra.Command, dirs []string, github, strict bool) error {
	c, all, err := authorLayers(cmd, dirs)
	if err != nil {
		return err
	}
	options, err := policyOptions(c)
	if err != nil {
		return policyProblem(err)
	}
	o := check.Options{Options: options}
	home, homeErr := presentHome(cmd, c)
	if homeErr == nil {
		o.Situations = []example.Situation{{Name: "the present home", Input: home}}
	}
	report := check.Check(cmd.Context(), all, o)
	w := cmd.OutOrStdout()
	switch {
	case github:
		writeWorkflow(w, report.Findings)
	case c.Output == "table":
		writeFindings(w, report)
		if homeErr != nil && len(report.Situations) > 0 {
			fmt.Fprintf(w, "The present home was not tried: %v\n", homeErr)
		}
	default:
		if err := view.Document(w, c.Output, report); err != nil {
			return err
		}
	}
	if report.Errors() > 0 || strict && len(report.Findings) > 0 {
		return policyProblem(nil)
	}
	return nil
}

// writeFindings prints findings as compilers do, each with its fix.
func writeFindings(w io.Writer, r check.Report) {
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s: %s: %s [%s]\n    %s\n", findingPlace(f), f.Severity, policy.Line(f.Message), f.Code, f.Fix)
	}
	if len(r.Findings) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s and %s in %s and %s", policy.Count(r.Errors(), "error"), policy.Count(len(r.Findings)-r.Errors(), "warning"),
		policy.Count(r.Rules, "rule file"), policy.Count(r.Tests, "test file"))
	if len(r.Situations) > 0 {
		fmt.Fprintf(w, "; tried on %s", policy.Count(len(r.Situations), "situation"))
	}
	fmt.Fprintln(w, ".")
}

// findingPlace returns file:row:col as far as they are known.
func findingPlace(f check.Finding) string {
	switch {
	case f.Row == 0:
		return policy.Line(f.File)
	case f.Col == 0:
		return fmt.Sprintf("%s:%d", policy.Line(f.File), f.Row)
	}
	return fmt.Sprintf("%s:%d:%d", policy.Line(f.File), f.Row, f.Col)
}

var (
	workflowText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	workflowProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// writeWorkflow prints findings as workflow commands of GitHub.
func writeWorkflow(w io.Writer, findings []check.Finding) {
	for _, f := range findings {
		fmt.Fprintf(w, "::%s file=%s,line=%d,col=%d,title=%s::%s\n", f.Severity, workflowProperty.Replace(f.File),
			max(f.Row, 1), max(f.Col, 1), workflowProperty.Replace(f.Code), workflowText.Replace(policy.Line(f.Message)+"\n"+f.Fix))
	}
}

func writeCodes(cmd *cobra.Command) error {
	c, err := authorConfig(cmd, nil)
	if err != nil {
		return err
	}
	return printOr(cmd.OutOrStdout(), c, check.Codes(), func() error {
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "CODE\tSEVERITY\tMEANS\tMEND")
		for _, code := range check.Codes() {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", code.Code, code.Severity, code.Means, code.Fix)
		}
		return table.Flush()
	})
}
