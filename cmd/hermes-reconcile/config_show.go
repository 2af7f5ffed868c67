package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Look at the configuration",
		Args:  cli.SuggestCommand,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "show",
		Short: "Print the configuration that is in force, each value with where it comes from",
		Long: `Print every key of the configuration with its value and where that comes from: the default,
file:row:col, a variable or a flag. A wrong key is left out, as at a boot, and is an error.
The value of a setting whose name is that of a secret is not shown. Settings that a policy
directory has in data/settings.yaml are shown by "policy show".`,
		Example: `  hermes-reconcile config show
  hermes-reconcile config show -o json`,
		Args: cobra.NoArgs,
		RunE: showConfig,
	})
	return cmd
}

func showConfig(cmd *cobra.Command, _ []string) error {
	c, wrong, err := config.Read(cmd.Flags(), os.Environ())
	if err != nil {
		return errors.Join(wrong, err)
	}
	return errors.Join(wrong, cli.Show(cmd, c, view.Configuration{Values: c.Values()}, view.ConfigurationTable))
}
