package main

import (
	"github.com/spf13/cobra"

	"hermes-reconcile/engine/reconcile"
)

func newRelease() *cobra.Command {
	var f liveFlags
	cmd := lifecycle(reconcile.Release, &f, &cobra.Command{
		Use:   "release",
		Short: "End the holds of profiles, and start those that should run",
		Long: `End the present holds of a profile. A used-up budget of deaths is forgotten. The hold of a
rule is set aside until it would have ended or the container starts again, which only
root can do. A profile that the operator wants to run is started.`,
		Example: `  hermes-reconcile release coder`,
	})
	f.addUpFor(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile that is held")
	return cmd
}
