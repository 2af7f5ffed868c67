package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
)

var schemas = []string{"input", "decision"}

func oneSchema(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one schema of %s", strings.Join(schemas, ", "))
	}
	if !slices.Contains(schemas, args[0]) {
		return fmt.Errorf("unknown schema %q%s", args[0], suggest.Words(args[0], schemas))
	}
	return nil
}

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:       "schema input|decision",
		Short:     "Print the JSON Schema of the input document or of the decision document",
		Args:      oneSchema,
		ValidArgs: schemas,
		RunE: func(cmd *cobra.Command, args []string) error {
			schema := []byte(policy.DecisionSchema)
			if args[0] == "input" {
				var err error
				if schema, err = world.Schema(); err != nil {
					return &exitError{exitProfile, err}
				}
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", schema)
			return err
		},
	}
}
