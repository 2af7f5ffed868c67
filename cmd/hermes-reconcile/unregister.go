package main

import (
	"github.com/spf13/cobra"

	"hermes-reconcile/engine/reconcile"
)

func newUnregister() *cobra.Command {
	var f liveFlags
	cmd := lifecycle(reconcile.Unregister, &f, &cobra.Command{
		Use:   "unregister",
		Short: "Stop gateways and remove their slots",
		Long: `Stop the gateway as "stop" does, and remove its slot with the supervisors. If the profile
still exists, the next boot or apply makes the slot again, down.`,
		Example: `  hermes-reconcile unregister coder`,
	})
	f.addKill(cmd)
	return cmd
}
