package author

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/rego/bundle"
)

func newPolicyAccept() *cobra.Command {
	var dry cli.DryRun
	cmd := &cobra.Command{
		Use:   "accept REVISION",
		Short: "Let an older bundle replace a newer one, once",
		Long: `Let the bundle of a revision that the watch refused because it is older replace the
present one. The watch fetches and checks the bundle again, and uses it if nothing else is
wrong with it. The alarm policy_refused names the revision. Only root, or the owner of
state_dir, can accept.

Exit status: 0 accepted, 1 the acceptance cannot be kept, 2 there is no such revision.`,
		Example: "  hermes-reconcile policy accept 41",
		Args:    cobra.ExactArgs(1),
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, args []string) error {
			known, err := watch.ReadBundles(c.RunDir)
			if err != nil {
				return cli.Failed(fmt.Errorf("what the watch refused is not known: %w", err))
			}
			var refused []string
			for _, b := range known {
				if b.Refused != "" {
					refused = append(refused, b.Refused)
				}
			}
			if !slices.Contains(refused, args[0]) {
				return fmt.Errorf("no bundle of revision %q is refused; refused are %q", args[0], refused)
			}
			if !dry.On {
				err = bundle.Accept(c.StateDir, args[0])
			}
			if err == nil {
				err = cli.Show(cmd, c, view.AcceptedRevision{DryRun: dry.On, Revision: args[0]}, view.AcceptedRevisionLine)
			}
			return cli.DetailedExit(dry.Detailed, true, cli.Failed(err))
		}),
	}
	dry.Add(cmd, "print what would be accepted, and accept nothing")
	return cmd
}
