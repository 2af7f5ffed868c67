package author

import (
	"fmt"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/schemas"
	"hermes-reconcile/cmd/hermes-reconcile/view"
)

// NewSchema is the command schema.
func NewSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [DOCUMENT]",
		Short: "Print the JSON Schema of a document, or list the documents",
		Long: `Print the JSON Schema of a document that commands print with --output json, or without a
name the list of these documents.`,
		Example: `  hermes-reconcile schema
  hermes-reconcile schema input
  hermes-reconcile schema status > status.schema.json`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return schemas.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cli.Configured(listSchemas)(cmd, nil)
			}
			schema, err := schemas.Of(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", schema)
			return err
		},
	}
}

func listSchemas(cmd *cobra.Command, c config.Config, _ []string) error {
	all, err := schemas.Documents()
	if err != nil {
		return err
	}
	return cli.Show(cmd, c, view.SchemaList{Schemas: all}, view.Schemas)
}
