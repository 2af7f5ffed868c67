package author

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/rego/workbench"
)

func newPolicyRecipes() *cobra.Command {
	return &cobra.Command{
		Use:   "recipes",
		Short: "List the rules that are shipped and not switched on; as JSON with their texts",
		Args:  cobra.NoArgs,
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, _ []string) error {
			return cli.Show(cmd, c, view.RecipeList{Recipes: workbench.Recipes()}, view.Recipes)
		}),
	}
}

func newPolicyAdd() *cobra.Command {
	var set []string
	var dry cli.DryRun
	cmd := &cobra.Command{
		Use:   "add RECIPE [DIR]",
		Short: "Copy a recipe into a directory of rules",
		Long: `Copy a recipe, its test and its settings into a directory of rules, which is made if it
is missing. The settings are added to data/settings.yaml, and no file is overwritten. With its default settings a
recipe contributes nothing. --set gives a setting another value, written as YAML.`,
		Example: `  hermes-reconcile policy add never_autostart ./rules --set 'never_autostart=["test-*"]'`,
		Args:    cobra.RangeArgs(1, 2),
		RunE:    func(cmd *cobra.Command, args []string) error { return policyAdd(cmd, args, set, dry) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return workbench.RecipeNames(), cobra.ShellCompDirectiveDefault
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "key=value: a setting of the recipe, may be given several times")
	dry.Add(cmd, "print which files and settings would be added, and write nothing")
	return cmd
}

func policyAdd(cmd *cobra.Command, args, set []string, dry cli.DryRun) error {
	recipe, err := workbench.FindRecipe(args[0])
	if err != nil {
		return err
	}
	c, err := namedConfig(cmd, args[1:])
	if err != nil {
		return err
	}
	if len(c.Policy) != 1 {
		return fmt.Errorf("name one directory for the recipe; there are %s", strings.Join(c.Policy, ", "))
	}
	files, err := recipe.AddFiles(c.Policy[0], set)
	if err != nil {
		return err
	}
	return writeFiles(cmd, c, files, dry, "hermes-reconcile policy check "+c.Policy[0])
}
