package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
)

func newPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Write, check, test and look at rules",
		Long: `Write, check, test and look at rules. Where a command takes a directory and none
is given, it is that of --policy, else the present one.

Exit status: 0 good, 2 wrong usage, 3 a mistake in the rules, a test that fails,
or a file that should be formatted.`,
		Example: `  hermes-reconcile policy init ./rules      # an example rule, its test, the schemas
  hermes-reconcile policy check ./rules     # can it be used, and is it meant so?
  hermes-reconcile policy test ./rules
  hermes-reconcile eval --policy ./rules    # what would the next boot decide?`,
		Args: suggestCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(newPolicyInit(), newPolicyCheck(), newPolicyTest(), newPolicyFmt(), newPolicyShow(), newPolicyBench(),
		newPolicyRecipes(), newPolicyAdd())
	return cmd
}

// authorConfig reads the configuration with the directories that a command names
// in place of the configured ones.
func authorConfig(cmd *cobra.Command, dirs []string) (config.Config, error) {
	c, err := config.Load(cmd.Flags(), os.Environ())
	if err != nil {
		return c, err
	}
	switch {
	case len(dirs) > 0 && cmd.Flags().Changed("policy"):
		return c, errors.New("name the directory once, by --policy or as an argument")
	case len(dirs) > 0:
		c.Policy = dirs
	case len(c.Policy) == 0:
		c.Policy = []string{"."}
	}
	for _, dir := range c.Policy {
		if info, err := os.Stat(dir); err != nil {
			return c, err
		} else if !info.IsDir() {
			return c, fmt.Errorf("%s is no directory, want the one that holds the rules", dir)
		}
	}
	return c, nil
}

// authorLayers are the layers of that configuration; a directory without a rule
// is a slip.
func authorLayers(c config.Config) ([]rego.Layer, error) {
	for _, dir := range c.Policy {
		if files, err := regoFiles(dir); err != nil {
			return nil, err
		} else if len(files) == 0 {
			return nil, fmt.Errorf("there is no .rego file in %s; `hermes-reconcile policy init DIR` makes a directory to begin with", dir)
		}
	}
	return layers(c), nil
}

// regoFiles lists the rule and test files of a directory in lexical order, without
// those below names that begin with a dot. A file stands for itself.
func regoFiles(place string) ([]string, error) {
	if info, err := os.Stat(place); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return []string{place}, nil
	}
	var files []string
	dir := os.DirFS(place) // unlike the name, it may be a link
	err := fs.WalkDir(dir, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(entry.Name(), ".") && name != "." {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".rego") {
			return nil
		}
		if info, err := fs.Stat(dir, name); err == nil && info.Mode().IsRegular() {
			files = append(files, filepath.Join(place, name))
		}
		return nil
	})
	return files, err
}

// presentHome collects the facts of the home that is there; the error says why
// there are none.
func presentHome(cmd *cobra.Command, c config.Config) (policy.Input, error) {
	if _, err := os.Stat(c.Home); err != nil {
		return policy.Input{}, err
	}
	r, err := pass(cmd.Context(), c, noLog, reconcile.Options{Phase: policy.PhaseBoot, Extent: reconcile.ToFacts})
	return r.Input, cmp.Or(err, r.VolumeErr)
}

// policyProblem is a mistake in the rules that ends a command.
func policyProblem(err error) error { return &exitError{exitPolicy, err} }
