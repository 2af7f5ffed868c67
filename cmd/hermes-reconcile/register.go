package main

import (
	"github.com/spf13/cobra"

	"hermes-reconcile/engine/reconcile"
)

func newRegister() *cobra.Command {
	var f liveFlags
	cmd := lifecycle(reconcile.Register, &f, &cobra.Command{
		Use:   "register",
		Short: "Make the slots of profiles that came while the container runs",
		Long: `Ask the rules about a profile that was made, imported or installed while the container
runs, and make its slot: up or down, as a boot would. A profile that has a slot is left
alone.`,
		Example: `  hermes-reconcile register coder
  hermes-reconcile register --all`,
	})
	f.addUpFor(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile that has none")
	return cmd
}
