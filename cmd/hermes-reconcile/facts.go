package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
)

func newFacts() *cobra.Command {
	return &cobra.Command{
		Use:   "facts [PROFILE...]",
		Short: "Print the facts, which are the input document of the rules",
		Long: `Print the facts, which are the input document of the rules. The document holds no
secrets, only names and fingerprints. "hermes-reconcile schema input" describes every
fact, its origin and who could have written it.`,
		Example: `  hermes-reconcile facts coder
  hermes-reconcile facts -o json > saved.json`,
		RunE: cli.Configured(printFacts),
	}
}

func printFacts(cmd *cobra.Command, c config.Config, profiles []string) error {
	r, err := cli.Pass(cmd, c, nil, reconcile.Options{Phase: policy.PhaseBoot, Extent: reconcile.ToFacts})
	if err != nil {
		return err
	}
	if r.Input.Profiles, err = engine.Only(r.Input.Profiles, profiles); err != nil {
		return cli.PassError(r.OrUncertain(err))
	}
	err = cli.Show(cmd, c, r.Input, view.Facts)
	if err == nil && r.VolumeErr != nil {
		err = cli.Failed(fmt.Errorf("the facts about profiles are not complete: %w", r.VolumeErr))
	}
	return err
}
