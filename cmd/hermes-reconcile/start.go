package main

import (
	"github.com/spf13/cobra"

	"hermes-reconcile/engine/reconcile"
)

func newStart() *cobra.Command {
	var f liveFlags
	cmd := lifecycle(reconcile.Start, &f, &cobra.Command{
		Use:   "start",
		Short: "Start gateways, and have later boots start them",
		Long: `Record that the operator wants the gateway to run (desired_state in gateway_state.json),
and start it. A missing slot is made. A hold of the rules refuses the start. --override
sets the hold aside until it would have ended or the container starts again, and records
that in the ledger. Only root can use --override.`,
		Example: `  hermes-reconcile start coder
  hermes-reconcile start coder --up-for 5s  # done when it is still up after that
  hermes-reconcile start coder --override   # although a rule holds it
  hermes-reconcile start --all --wait=false`,
	})
	f.addUpFor(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile that may start")
	return cmd
}
