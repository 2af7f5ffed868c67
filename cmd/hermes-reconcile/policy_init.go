package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/workbench"
)

func newPolicyInit() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a directory of rules to begin with",
		Long: `Make a directory of rules to begin with: an example rule and its test, the
settings with their defaults, example facts for tests, the schemas of input and
decision, the configuration of the linter Regal, and a README. The Open Policy
Agent can use the directory too.

The directory must be new or empty. With --force, missing files are added to a
directory that is not empty; no file is overwritten.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return policyInit(cmd, args[0], force) },
	}
	cmd.Flags().BoolVar(&force, "force", false, "add the missing files to a directory that is not empty")
	return cmd
}

func policyInit(cmd *cobra.Command, dir string, force bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 && !force {
		return fmt.Errorf("%s is not empty; name a new directory, or add what is missing with --force", dir)
	}
	schema, err := world.Schema()
	if err != nil {
		return failed(err)
	}
	written, err := workbench.Init(dir, schema, []byte(policy.DecisionSchema))
	for _, file := range written {
		word := "wrote"
		if file.Kept {
			word = "kept "
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", word, file.Path)
	}
	if err != nil {
		return failed(err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Next: hermes-reconcile policy test %s\n", dir)
	return nil
}
