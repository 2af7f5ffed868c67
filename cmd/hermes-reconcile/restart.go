package main

import (
	"github.com/spf13/cobra"

	"hermes-reconcile/engine/reconcile"
)

func newRestart() *cobra.Command {
	var f liveFlags
	cmd := lifecycle(reconcile.Restart, &f, &cobra.Command{
		Use:   "restart",
		Short: "Stop gateways, wait until they are down, and start them",
		Long: `Record that the operator wants the gateway to run, stop it, wait until it is down, and
start it. A restart does not count as a death. A gateway that is down is started.`,
		Example: `  hermes-reconcile restart coder
  hermes-reconcile restart coder --timeout 60s --kill`,
	})
	f.addUpFor(cmd)
	f.addKill(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile whose gateway is up")
	return cmd
}
