package main

import (
	"slices"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/engine/reconcile"
)

// A lifecycle is a command about single profiles.
type lifecycle struct {
	kind                       reconcile.Kind
	name, short, long, example string
	all                        string // what --all means; empty: the command has no such flag
	starts, kills              bool
}

var lifecycles = []lifecycle{
	{
		kind: reconcile.Register, name: "register", starts: true,
		short: "Make the slots of profiles that came while the container runs",
		long: `Ask the rules about a profile that was made, imported or installed while the container
runs, and make its slot: up or down, as a boot would. A profile that has a slot is left
alone.`,
		example: `  hermes-reconcile register coder
  hermes-reconcile register --all`,
		all: "every profile that has none",
	},
	{
		kind: reconcile.Release, name: "release", starts: true,
		short: "End the holds of profiles, and start those that should run",
		long: `End the present holds of a profile. A used-up budget of deaths is forgotten. The hold of a
rule is set aside until it would have ended or the container starts again, which only
root can do. A profile that the operator wants to run is started.`,
		example: `  hermes-reconcile release coder`,
		all:     "every profile that is held",
	},
	{
		kind: reconcile.Restart, name: "restart", starts: true, kills: true,
		short: "Stop gateways, wait until they are down, and start them",
		long: `Record that the operator wants the gateway to run, stop it, wait until it is down, and
start it. A restart does not count as a death. A gateway that is down is started.`,
		example: `  hermes-reconcile restart coder
  hermes-reconcile restart coder --timeout 60s --kill`,
		all: "every profile whose gateway is up",
	},
	{
		kind: reconcile.Start, name: "start", starts: true,
		short: "Start gateways, and have later boots start them",
		long: `Record that the operator wants the gateway to run (desired_state in gateway_state.json),
and start it. The start is done when the gateway has recorded in gateway_state.json that it
is running or degraded, within --timeout. It failed when the gateway has recorded
startup_failed. In a home where no gateway records its state, the start is done after
--up-for. A missing slot is made. A hold of the rules refuses the start. --override
sets the hold aside until it would have ended or the container starts again, and records
that in the ledger. Only root can use --override.`,
		example: `  hermes-reconcile start coder
  hermes-reconcile start coder --up-for 5s  # done when it is still up after that
  hermes-reconcile start coder --override   # although a rule holds it
  hermes-reconcile start --all --wait=false`,
		all: "every profile that may start",
	},
	{
		kind: reconcile.Stop, name: "stop", kills: true,
		short: "Stop gateways, and keep later boots from starting them",
		long: `Record that the operator wants the gateway to be down (desired_state in
gateway_state.json, and a planned-stop marker so that the gateway records an operator's
stop), and stop it. No rule is asked. A volume that does not answer keeps no gateway up.
What the gateway started and left is reported, and killed with --kill.`,
		example: `  hermes-reconcile stop coder
  hermes-reconcile stop coder --timeout 60s --kill`,
		all: "every profile that has a slot",
	},
	{
		kind: reconcile.Unregister, name: "unregister", kills: true,
		short: "Stop gateways and remove their slots",
		long: `Stop the gateway as "stop" does, and remove its slot with the supervisors. If the profile
still exists, the next boot or apply makes the slot again, down.`,
		example: `  hermes-reconcile unregister coder`,
	},
}

func (l lifecycle) command() *cobra.Command {
	var f liveFlags
	var override bool
	cmd := &cobra.Command{
		Use: l.name + " PROFILE...", Short: l.short, Long: l.long, Example: l.example,
		ValidArgsFunction: completeProfiles,
		RunE: configured(func(cmd *cobra.Command, c config.Config, names []string) error {
			if err := f.check(names); err != nil {
				return err
			}
			slices.Sort(names)
			command := l.name
			if override {
				command += " --override"
			}
			return runLive(cmd, c, f, reconcile.Options{Command: command, Request: reconcile.Request{
				Kind: l.kind, Profiles: slices.Compact(names), All: f.all, Override: override,
			}})
		}),
	}
	f.add(cmd, l.starts, l.kills)
	if l.all != "" {
		cmd.Flags().BoolVar(&f.all, "all", false, l.all)
	}
	if l.kind == reconcile.Start {
		cmd.Flags().BoolVar(&override, "override", false, "start it although rules hold it")
	}
	return cmd
}
