package author

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine/watch"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego/bundle"
)

func newPolicyAccept() *cobra.Command {
	var dry cli.DryRun
	cmd := &cobra.Command{
		Use:   "accept REVISION",
		Short: "Let a bundle in that is older, waits for its rollout, or was rolled back, once",
		Long: `Let the bundle of a revision replace the present one on this host: a bundle that the
watch refused because it is older, that waits for its rollout, or that was rolled back. The
watch fetches and checks the bundle again, and uses it if nothing else is wrong with it; it
is not on trial. "status" shows the revision. Only root, or the owner of state_dir, can
accept.

Exit status: 0 accepted, 1 the acceptance cannot be kept, 2 there is no such revision.`,
		Example: "  hermes-reconcile policy accept 41",
		Args:    cobra.ExactArgs(1),
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, args []string) error {
			known, err := watch.Read[[]policy.Bundle](c.RunDir, watch.BundlesFile)
			if err != nil {
				return cli.Failed(fmt.Errorf("what the watch refused is not known: %w", err))
			}
			var outside []string
			for _, b := range known {
				outside = append(outside, b.Refused)
				if b.Waiting != nil {
					outside = append(outside, b.Waiting.Revision)
				}
				if b.RolledBack != nil {
					outside = append(outside, b.RolledBack.Revision)
				}
			}
			outside = slices.DeleteFunc(outside, func(revision string) bool { return revision == "" })
			if !slices.Contains(outside, args[0]) {
				return fmt.Errorf("no bundle of revision %q is refused, waits or was rolled back; those are %q", args[0], outside)
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
