package author

import (
	"fmt"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/schemas"
)

// NewSchema is the command schema.
func NewSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema DOCUMENT",
		Short: "Print the JSON Schema of a document that commands print with --output json",
		Example: `  hermes-reconcile schema input
  hermes-reconcile schema status > status.schema.json`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return schemas.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			schema, err := schemas.Of(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", schema)
			return err
		},
	}
}
