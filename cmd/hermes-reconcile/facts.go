package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hermes-reconcile/engine/volume"
	"hermes-reconcile/policy"
)

func newFacts() *cobra.Command {
	return &cobra.Command{
		Use:   "facts [PROFILE...]",
		Short: "Print the facts, which are the input document of the rules",
		Long: `Print the facts, which are the input document of the rules. Secrets are not in
it: names and fingerprints only. "hermes-reconcile schema input" describes every
fact, where it comes from and who could have written it.`,
		Example: `  hermes-reconcile facts coder
  hermes-reconcile facts -o json > saved.json`,
		RunE:              printFacts,
		ValidArgsFunction: completeProfiles,
	}
}

func printFacts(cmd *cobra.Command, profiles []string) error {
	c, err := loadConfig(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), c.Boot.Deadline)
	defer cancel()
	side, err := openSide(c, policy.PhaseBoot)
	if err != nil {
		return &exitError{exitProfile, err}
	}
	defer side.Close()
	s := collect(ctx, c, side, policy.PhaseBoot)
	if s.input.Profiles, err = only(s.input.Profiles, profiles); err != nil {
		return err
	}
	if c.Output == "table" {
		err = writeFacts(cmd.OutOrStdout(), s.input)
	} else {
		err = writeDocument(cmd.OutOrStdout(), c.Output, s.input)
	}
	if err != nil {
		return &exitError{exitProfile, err}
	}
	if s.volumeErr != nil {
		return &exitError{exitProfile, fmt.Errorf("the facts about profiles are not complete: %w", s.volumeErr)}
	}
	return nil
}

// writeFacts prints one fact a line.
func writeFacts(w io.Writer, in policy.Input) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "OF\tFACT\tVALUE")
	for _, fact := range slices.Sorted(maps.Keys(in.Container)) {
		fmt.Fprintf(table, "container\t%s\t%s\n", fact, in.Container[fact])
	}
	for _, name := range slices.Sorted(maps.Keys(in.Profiles)) {
		for _, fact := range slices.Sorted(maps.Keys(in.Profiles[name])) {
			fmt.Fprintf(table, "%s\t%s\t%s\n", name, fact, in.Profiles[name][fact])
		}
	}
	return table.Flush()
}

// completeProfiles completes the names of profiles.
func completeProfiles(cmd *cobra.Command, taken []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := loadConfig(cmd.Flags(), os.Environ())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	home, err := volume.Open(c.Home)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer home.Close()
	profiles, err := home.Profiles(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, p := range profiles {
		if !slices.Contains(taken, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
