package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

func newPolicyInit() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a directory of rules to begin with",
		Long: `Make a directory of rules to begin with: an example rule and its test, the
settings with their defaults, example facts for tests, the schemas of input and
decision, the configuration of the linter Regal, and a README. It is a usual
directory of the Open Policy Agent too.

The directory must be new or empty. With --force the missing files are added to
what is there; no file is overwritten.`,
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
	schema, err := inputSchema()
	if err != nil {
		return &exitError{exitProfile, err}
	}
	files, err := rego.Scaffold(schema, []byte(policy.DecisionSchema))
	if err != nil {
		return &exitError{exitProfile, err}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		word := "wrote"
		if err := createFile(path, files[name]); errors.Is(err, fs.ErrExist) {
			word = "kept "
		} else if err != nil {
			return &exitError{exitProfile, err}
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", word, path)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Next: hermes-reconcile policy test %s\n", dir)
	return nil
}

// createFile writes a new file and the directories above it. A file that is there
// already stays as it is: fs.ErrExist.
func createFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
