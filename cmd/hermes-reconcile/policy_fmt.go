package main

import (
	"fmt"
	"io"

	"github.com/google/renameio/v2"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/workbench"
)

type fmtFlags struct{ diff, write, fail bool }

func newPolicyFmt() *cobra.Command {
	var f fmtFlags
	cmd := &cobra.Command{
		Use:   "fmt [DIR|FILE]...",
		Short: "Format rules as opa fmt does",
		Long: `Format rules as opa fmt does. Without a flag, print the names of the files that are
formatted differently, and write nothing.`,
		Example: `  hermes-reconcile policy fmt --diff ./rules
  hermes-reconcile policy fmt --write ./rules
  hermes-reconcile policy fmt --fail ./rules     # in CI`,
		RunE: func(cmd *cobra.Command, args []string) error { return policyFmt(cmd, args, f) },
	}
	cmd.Flags().BoolVar(&f.diff, "diff", false, "show what would change")
	cmd.Flags().BoolVar(&f.write, "write", false, "write the files")
	cmd.Flags().BoolVar(&f.fail, "fail", false, "exit 3 if a file is formatted differently")
	return cmd
}

func policyFmt(cmd *cobra.Command, places []string, f fmtFlags) error {
	if len(places) == 0 {
		c, err := authorConfig(cmd, nil)
		if err != nil {
			return err
		}
		places = c.Policy
	}
	changed := 0
	for _, place := range places {
		files, err := workbench.Files(place)
		if err != nil {
			return err
		}
		for _, name := range files {
			different, err := f.file(cmd.OutOrStdout(), name)
			if err != nil {
				return policyProblem(err)
			}
			if different {
				changed++
			}
		}
	}
	if f.fail && changed > 0 {
		return policyProblem(nil)
	}
	return nil
}

// file formats one file and reports whether it was formatted differently.
func (f fmtFlags) file(w io.Writer, name string) (different bool, err error) {
	text, err := trust.Read(name, trust.Anybody, rego.MaxFile)
	if err != nil {
		return false, err
	}
	formatted, err := workbench.Format(name, text)
	if err != nil || string(formatted) == string(text) {
		return false, err
	}
	if f.diff {
		_, err = w.Write(diff.Diff(name, text, name+" (formatted)", formatted))
	} else {
		_, err = fmt.Fprintln(w, policy.Line(name))
	}
	if err != nil || !f.write {
		return true, err
	}
	return true, renameio.WriteFile(name, formatted, 0o644, renameio.WithExistingPermissions())
}
