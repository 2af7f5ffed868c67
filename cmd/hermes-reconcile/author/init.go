package author

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/rego/workbench"
)

func newPolicyInit() *cobra.Command {
	var dry cli.DryRun
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a directory of rules to begin with",
		Long: `Make a directory of rules to begin with: an example rule and its test, the
settings with their defaults, example facts for tests, the schemas of input and
decision, the configuration of the linter Regal, and a README. The Open Policy
Agent can use the directory too.

The directory must be new or empty.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return policyInit(cmd, args[0], dry) },
	}
	dry.Add(cmd, "print which files would be written, and write none")
	return cmd
}

func policyInit(cmd *cobra.Command, dir string, dry cli.DryRun) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty; name a new directory", dir)
	}
	c, err := namedConfig(cmd, []string{dir})
	if err != nil {
		return err
	}
	return writeFiles(cmd, c, workbench.InitFiles(dir), dry, "hermes-reconcile policy test "+dir)
}

// writeFiles writes files of a directory of rules, or with dry says which.
func writeFiles(cmd *cobra.Command, c config.Config, files []workbench.File, dry cli.DryRun, next string) error {
	document := view.Files{DryRun: dry.On, Files: files}
	var err error
	if !dry.On {
		if document.Files, err = workbench.Write(files); err == nil {
			document.Next = next
		}
	}
	err = errors.Join(cli.Show(cmd, c, document, view.FilesTable), cli.Failed(err))
	return cli.DetailedExit(dry.Detailed, true, err)
}
