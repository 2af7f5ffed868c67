package main

import (
	"github.com/spf13/cobra"

	"hermes-reconcile/engine/reconcile"
)

func newStop() *cobra.Command {
	var f liveFlags
	cmd := lifecycle(reconcile.Stop, &f, &cobra.Command{
		Use:   "stop",
		Short: "Stop gateways, and keep later boots from starting them",
		Long: `Record that the operator wants the gateway to be down (desired_state in
gateway_state.json, and a planned-stop marker so that the gateway records an operator's
stop), and stop it. No rule is asked. A volume that does not answer keeps no gateway up.
What the gateway started and left is reported, and killed with --kill.`,
		Example: `  hermes-reconcile stop coder
  hermes-reconcile stop coder --timeout 60s --kill`,
	})
	f.addKill(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile that has a slot")
	return cmd
}
