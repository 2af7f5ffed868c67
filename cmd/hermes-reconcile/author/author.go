// Package author has the commands that only authors of rules need.
package author

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/workbench"
)

// New is the command policy.
func New() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Write, check, test and look at rules",
		Long: `Write, check, test and look at rules. A command works on the directory that its
argument names, else on that of --policy, else on the present one.

Exit status: 0 success, 2 wrong usage, 3 a mistake in the rules, a test that fails,
or a file that should be formatted.`,
		Example: `  hermes-reconcile policy init ./rules      # an example rule, its test, the schemas
  hermes-reconcile policy check ./rules     # can it be used, and is it meant so?
  hermes-reconcile policy test ./rules
  hermes-reconcile eval --policy ./rules    # what would the next boot decide?`,
		Args: cli.SuggestCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(newPolicyInit(), newPolicyCheck(), newPolicyTest(), newPolicyFmt(), newPolicyShow(), newPolicyBench(), newPolicyForget(), newPolicyAccept(),
		newPolicyRecipes(), newPolicyAdd())
	cmd.AddCommand(newPolicyBuild(), newPolicyInspect(), newPolicyPull(), newPolicyPush())
	return cmd
}

// namedConfig reads the configuration. Directories that a command names replace the
// configured ones; without any, it is the present directory. They need not exist.
func namedConfig(cmd *cobra.Command, dirs []string) (config.Config, error) {
	c, err := config.Load(cmd.Flags(), os.Environ())
	switch {
	case err != nil:
	case len(dirs) > 0 && cmd.Flags().Changed("policy"):
		err = errors.New("name the directory once, by --policy or as an argument")
	case len(dirs) > 0:
		c.Policy = dirs
	case len(c.Policy) == 0:
		c.Policy = []string{"."}
	}
	return c, err
}

// authorLayers returns the configuration and its layers. A directory without a rule is
// an error.
func authorLayers(cmd *cobra.Command, dirs []string) (config.Config, []rego.Layer, error) {
	c, err := namedConfig(cmd, dirs)
	if err != nil {
		return c, nil, err
	}
	for _, dir := range c.Policy {
		if policy.IsBundle(dir) {
			continue // loading it says what is wrong
		}
		info, err := os.Stat(dir)
		if err != nil {
			return c, nil, err
		}
		if !info.IsDir() {
			return c, nil, fmt.Errorf("%s is not a directory, want the one that holds the rules", dir)
		}
		if _, err := workbench.Files(dir); err != nil {
			return c, nil, fmt.Errorf("%w; `hermes-reconcile policy init DIR` makes a directory to begin with", err)
		}
	}
	return c, world.Layers(c), nil
}

// presentHome collects the facts of the home. The error is also about a home that is
// missing.
func presentHome(cmd *cobra.Command, c config.Config) (policy.Input, error) {
	if _, err := os.Stat(c.Home); err != nil {
		return policy.Input{}, err
	}
	c.LogLevel = "error"
	r, err := cli.Pass(cmd, c, nil, reconcile.Options{Phase: policy.PhaseBoot, Extent: reconcile.ToFacts})
	return r.Input, cmp.Or(err, r.VolumeErr)
}
