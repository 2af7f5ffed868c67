package author

import (
	"errors"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/policy"
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
	c, err := namedConfig(cmd, places)
	if err != nil {
		return err
	}
	names, err := ruleFiles(c.Policy)
	if err != nil {
		return err
	}
	document := view.Files{DryRun: !f.write, Files: []workbench.File{}}
	for _, name := range names {
		var file workbench.File
		if file, err = workbench.Formatted(name); err != nil {
			break
		}
		if file.Diff == "" {
			continue
		}
		if !f.diff {
			file.Diff = ""
		}
		document.Files = append(document.Files, file)
	}
	if err == nil && f.write {
		document.Files, err = workbench.Write(document.Files)
	}
	err = errors.Join(cli.Show(cmd, c, document, view.Formatted), err)
	if err != nil || f.fail && len(document.Files) > 0 {
		return cli.Exit(cli.ExitPolicy, err)
	}
	return nil
}

// ruleFiles returns the files of rules of directories, and files as they are.
func ruleFiles(places []string) (names []string, err error) {
	for _, place := range places {
		if policy.IsBundle(place) {
			continue // nobody edits one
		}
		below, err := workbench.Files(place)
		if err != nil {
			return nil, err
		}
		names = append(names, below...)
	}
	return names, nil
}
