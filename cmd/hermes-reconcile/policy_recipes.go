package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
)

func newPolicyRecipes() *cobra.Command {
	return &cobra.Command{
		Use:   "recipes [RECIPE]",
		Short: "List the rules that are shipped and not switched on, or show one",
		Args:  cobra.MaximumNArgs(1),
		RunE:  policyRecipes,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return recipeNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func policyRecipes(cmd *cobra.Command, args []string) error {
	c, err := config.Load(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if len(args) == 1 {
		recipe, err := findRecipe(args[0])
		if err != nil {
			return err
		}
		if c.Output != "table" {
			return view.Document(w, c.Output, recipe)
		}
		_, err = fmt.Fprintf(w, "%s: %s\n\n%s\n\nSettings, for data/settings.yaml:\n\n%s\n%s", recipe.Name, recipe.Title,
			recipe.Description, recipe.Settings, recipe.Files[recipe.Name+".rego"])
		return err
	}
	if c.Output != "table" {
		return view.Document(w, c.Output, rego.Recipes())
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "RECIPE\tSETS\tTITLE")
	for _, r := range rego.Recipes() {
		fmt.Fprintf(table, "%s\t%s\t%s\n", r.Name, strings.Join(r.Contributes, ", "), r.Title)
	}
	return table.Flush()
}

func recipeNames() []string {
	var names []string
	for _, r := range rego.Recipes() {
		names = append(names, r.Name)
	}
	return names
}

func findRecipe(name string) (rego.Recipe, error) {
	for _, r := range rego.Recipes() {
		if r.Name == name {
			return r, nil
		}
	}
	return rego.Recipe{}, fmt.Errorf("no such recipe as %q%s", name, suggest.Words(name, recipeNames()))
}

func newPolicyAdd() *cobra.Command {
	var set []string
	cmd := &cobra.Command{
		Use:   "add RECIPE [DIR]",
		Short: "Copy a recipe into a directory of rules",
		Long: `Copy a recipe, its test and its settings into a directory of rules. As shipped, a
recipe has no opinion; --set gives one of its settings a value, which is YAML. No
file is overwritten; the settings are added to data/settings.yaml.`,
		Example: `  hermes-reconcile policy add never_autostart ./rules --set 'never_autostart=["test-*"]'`,
		Args:    cobra.RangeArgs(1, 2),
		RunE:    func(cmd *cobra.Command, args []string) error { return policyAdd(cmd, args, set) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return recipeNames(), cobra.ShellCompDirectiveDefault
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "key=value: a setting of the recipe, may be given several times")
	return cmd
}

func policyAdd(cmd *cobra.Command, args, set []string) error {
	recipe, err := findRecipe(args[0])
	if err != nil {
		return err
	}
	c, err := authorConfig(cmd, args[1:])
	if err != nil {
		return err
	}
	if len(c.Policy) != 1 {
		return fmt.Errorf("name the directory that takes the recipe; there are %s", strings.Join(c.Policy, ", "))
	}
	dir := c.Policy[0]
	settings, err := setValues(recipe, set)
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(recipe.Files))
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("%s is there already; remove it first, nothing is overwritten", filepath.Join(dir, name))
		}
	}
	settingsPath := filepath.Join(dir, "data", "settings.yaml")
	if err := addSettings(settingsPath, settings); err != nil {
		return err
	}
	for _, name := range names {
		if err := createFile(filepath.Join(dir, name), []byte(recipe.Files[name])); err != nil {
			return &exitError{exitProfile, err}
		}
		fmt.Fprintf(cmd.OutOrStdout(), "wrote %s\n", filepath.Join(dir, name))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "added %s to %s\n", strings.Join(nodeKeys(settings), ", "), settingsPath)
	fmt.Fprintf(cmd.OutOrStdout(), "Next: hermes-reconcile policy check %s\n", dir)
	return nil
}
