package main

import (
	"slices"

	"github.com/spf13/cobra"
)

// lifecycleCommands are the commands about the life of single profiles. Each changes
// only what its profiles need.
func lifecycleCommands() []*cobra.Command {
	return []*cobra.Command{newRegister(), newUnregister(), newStart(), newStop(), newRestart(), newRelease()}
}

// lifecycle makes a command with the flags that they share.
func lifecycle(use, short, long, example string, f *liveFlags, run func(*cobra.Command, []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " PROFILE...", Short: short, Long: long, Example: example,
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := f.who(names); err != nil {
				return err
			}
			slices.Sort(names)
			return run(cmd, slices.Compact(names))
		},
		ValidArgsFunction: completeProfiles,
	}
	f.add(cmd)
	return cmd
}

func newStart() *cobra.Command {
	var f liveFlags
	var override bool
	cmd := lifecycle("start", "Start gateways, and have them started by later boots",
		`Record that the operator wants the gateway to run (desired_state in
gateway_state.json), and start it; a slot that is missing is made. A hold of the
rules refuses that: --override sets it aside, until the hold would have ended or the
container starts again, and says so in the ledger. Only root can do that.`,
		`  hermes-reconcile start coder
  hermes-reconcile start coder --up-for 5s  # done when it is still up after that
  hermes-reconcile start coder --override   # although a rule holds it
  hermes-reconcile start --all --wait=false`, &f,
		func(cmd *cobra.Command, names []string) error {
			return raise(cmd, f, "start", wish{names: names, override: override})
		})
	f.addUpFor(cmd)
	cmd.Flags().BoolVar(&override, "override", false, "start it although rules hold it")
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile that may start")
	return cmd
}

func newRestart() *cobra.Command {
	var f liveFlags
	cmd := lifecycle("restart", "Stop gateways, wait until they are down, and start them",
		`Record that the operator wants the gateway to run, stop it, wait until it is down,
and start it. It does not count as a death. One that is down is started.`,
		`  hermes-reconcile restart coder
  hermes-reconcile restart coder --timeout 60s --kill`, &f,
		func(cmd *cobra.Command, names []string) error {
			return raise(cmd, f, "restart", wish{names: names, restart: true})
		})
	f.addUpFor(cmd)
	f.addForce(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile whose gateway is up")
	return cmd
}

func newStop() *cobra.Command {
	var f liveFlags
	cmd := lifecycle("stop", "Stop gateways, and keep later boots from starting them",
		`Record that the operator wants the gateway to be down (desired_state in
gateway_state.json, and a planned-stop marker so that the gateway records an
operator's stop), and stop it. No rule is asked.`,
		`  hermes-reconcile stop coder
  hermes-reconcile stop coder --timeout 60s --kill`, &f,
		func(cmd *cobra.Command, names []string) error { return lower(cmd, f, "stop", names) })
	f.addForce(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile that has a slot")
	return cmd
}

func newUnregister() *cobra.Command {
	var f liveFlags
	cmd := lifecycle("unregister", "Stop gateways and remove their slots",
		`Stop the gateway as "stop" does, and remove its slot with the supervisors. Where the
profile is still there, the next boot or apply makes the slot again, down.`,
		`  hermes-reconcile unregister coder`, &f,
		func(cmd *cobra.Command, names []string) error { return lower(cmd, f, "unregister", names) })
	f.addForce(cmd)
	return cmd
}

func newRegister() *cobra.Command {
	var f liveFlags
	cmd := lifecycle("register", "Make the slots of profiles that came while the container runs",
		`Ask the rules about a profile that was made, imported or installed while the
container runs, and make its slot: up or down, as a boot would. One that has a slot is
left alone.`,
		`  hermes-reconcile register coder
  hermes-reconcile register --all`, &f,
		func(cmd *cobra.Command, names []string) error { return register(cmd, f, names) })
	f.addUpFor(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile that has none")
	return cmd
}

func newRelease() *cobra.Command {
	var f liveFlags
	cmd := lifecycle("release", "End the holds of profiles, and start those that should run",
		`End what holds a profile now: a used-up budget of deaths is forgotten; a hold of a
rule is set aside until it would have ended or the container starts again, which only
root can do. A profile that the operator wants to run is started.`,
		`  hermes-reconcile release coder`, &f,
		func(cmd *cobra.Command, names []string) error {
			return raise(cmd, f, "release", wish{names: names, release: true})
		})
	f.addUpFor(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "every profile that is held")
	return cmd
}
