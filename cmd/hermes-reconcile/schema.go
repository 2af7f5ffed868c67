package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"hermes-reconcile/policy"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:       "schema input|decision",
		Short:     "Print the JSON Schema of the input document or of the decision document",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"input", "decision"},
		RunE: func(cmd *cobra.Command, args []string) error {
			schema := []byte(policy.DecisionSchema)
			if args[0] == "input" {
				var err error
				if schema, err = inputSchema(); err != nil {
					return &exitError{exitProfile, err}
				}
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", schema)
			return err
		},
	}
}
