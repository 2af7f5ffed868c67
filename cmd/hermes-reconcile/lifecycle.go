package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
)

// A lifecycle is a command about single profiles.
type lifecycle struct {
	kind                       reconcile.Kind
	name, short, long, example string
	all                        string // what --all means; empty: the command has no such flag
	question                   string // before it is done to all, or by a command without --all; empty: none
	starts, kills              bool
}

var lifecycles = []lifecycle{
	{
		kind: reconcile.Pause, name: "pause", kills: true,
		short: "Stop gateways for a while, and leave their intents as they are",
		long: `Hold profiles until "resume", or until the time of --until, and stop their gateways. What
was up comes up again afterwards, and what was down stays down. No recorded intent changes.
The pause is in state_dir, so it outlives the container. With --all it also holds profiles
that come later. Only root can pause. Without the watch, --until counts at the next apply
or boot.`,
		example: `  hermes-reconcile pause coder --until 07:00 --reason "maintenance of the model"
  hermes-reconcile pause --all --until 90m
  hermes-reconcile resume --all`,
		all: "every profile, also those that come later",
	},
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
		all:     "every profile that is held", question: "Set all holds of the rules aside, and start what they hold?",
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
		kind: reconcile.Resume, name: "resume", starts: true,
		short: "End the pause of gateways: what was up comes up again",
		long: `End the pause of profiles, and start the gateways that were up before it, where the rules
let them. What was down stays down. Only root can resume.`,
		example: `  hermes-reconcile resume coder`,
		all:     "every profile that is paused",
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
What the gateway started and left is reported, and killed with --kill. "pause" stops
gateways only for a while, and leaves the intent as it is.`,
		example: `  hermes-reconcile stop coder
  hermes-reconcile stop coder --timeout 60s --kill`,
		all: "every profile that has a slot", question: `Stop all gateways, and keep them down at later boots? "hermes-reconcile pause --all" stops them for a while.`,
	},
	{
		kind: reconcile.Unregister, name: "unregister", kills: true,
		short: "Stop gateways and remove their slots",
		long: `Stop the gateway as "stop" does, and remove its slot with the supervisors. If the profile
still exists, the next boot or apply makes the slot again, down.`,
		example:  `  hermes-reconcile unregister coder`,
		question: "Stop the gateways, and remove their slots?",
	},
}

func (l lifecycle) command() *cobra.Command {
	var f liveFlags
	var override bool
	var pause pauseFlags
	var agreed cli.Consent
	cmd := &cobra.Command{
		Use: l.name + " PROFILE...", Short: l.short, Long: l.long, Example: l.example,
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, names []string) error {
			if err := f.check(names); err != nil {
				return err
			}
			slices.Sort(names)
			command := l.name
			if override {
				command += " --override"
			}
			o := reconcile.Options{Command: command, Request: reconcile.Request{
				Kind: l.kind, Profiles: slices.Compact(names), All: f.all, Override: override,
			}}
			var err error
			switch l.kind {
			case reconcile.Pause:
				o.Request.Pause, err = pause.pause(time.Now())
				fallthrough
			case reconcile.Resume: // also with rules that are broken
				o.FallBack = true
			}
			if err == nil && (f.all || l.all == "") && !f.dryRun.On {
				err = agreed.Ask(cmd, l.question)
			}
			if err != nil {
				return err
			}
			return f.run(cmd, c, o)
		}),
	}
	f.add(cmd, l.starts, l.kills)
	if l.all != "" {
		cmd.Flags().BoolVar(&f.all, "all", false, l.all)
	}
	f.dryRun.Add(cmd, "print what would be done, and touch nothing")
	if l.question != "" {
		agreed.Add(cmd)
	}
	switch l.kind {
	case reconcile.Pause:
		pause.add(cmd)
	case reconcile.Start:
		cmd.Flags().BoolVar(&override, "override", false, "start it although rules hold it")
	}
	return cmd
}

// pauseFlags are what an operator says of a pause.
type pauseFlags struct{ until, reason string }

func (f *pauseFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.until, "until", "", "when the pause ends: a time such as 07:00, \"2026-12-24 07:00\" or RFC 3339, or a duration such as 90m (default: with resume)")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for status, explain and the ledger")
}

// pause is the pause that is asked for at a time.
func (f pauseFlags) pause(now time.Time) (policy.Pause, error) {
	p := policy.Pause{Reason: policy.Cut(f.reason)}
	if f.until == "" {
		return p, nil
	}
	until, ok := nextTime(f.until, now)
	switch {
	case !ok:
		return p, fmt.Errorf("--until is %q, %s", f.until, wantTime)
	case !until.After(now):
		return p, fmt.Errorf("--until %s is over, want a time after %s", f.until, now.Format(time.DateTime))
	}
	p.Until = until.Format(time.RFC3339)
	return p, nil
}
