package main

import (
	"os"
	"slices"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/inspect"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy"
)

func newDoctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look at the installation, and say what is missing and what mends it; nothing is touched",
		Long: `Look at the whole installation: programs, gateway command, user, hook, s6-svscan,
configuration, rules, facts.d, state directory, volume, capacity, clock, watch. Each finding has
a code, and names what mends it. The findings are alarms of "boot" and "status" too.
"status" has what is wrong with single profiles. Run "doctor" as root in the container.

Exit status: 0 nothing is missing, 1 something is, 2 wrong usage.`,
		Example: `  docker exec -u root CONTAINER hermes-reconcile doctor
  hermes-reconcile doctor -o json`,
		Args: cobra.NoArgs,
		RunE: doctor,
	}
}

func doctor(cmd *cobra.Command, _ []string) error {
	c, wrong, err := config.Read(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	found := append(world.Usable(&c, wrong), inspect.Installation(c, true)...)
	alarms := []policy.Alarm{}
	d, _, err := currentStatus(cmd, c, nil, nil)
	if err != nil {
		alarms = append(alarms, policy.Alarm{Code: ledger.CodeNotDecided, Reason: err.Error()})
	} else {
		alarms = d.Alarms
		if d.Watch.Enabled {
			found = append(found, inspect.NoEvents(c, d.Watch.NoEvents)...)
		}
		found = append(found, inspect.Bundles(c, d.Policy.Bundles)...)
	}
	seen := inspect.Alarms(found)
	for _, a := range alarms {
		if (a.Profile == "" || a.Code == status.CodeNobody) && !slices.Contains(seen, a) {
			found = append(found, view.Finding{Code: a.Code, Profile: a.Profile, Reason: a.Reason, Mend: inspect.Mends[a.Code]})
		}
	}
	if err := cli.Show(cmd, c, view.Diagnosis{Findings: append([]view.Finding{}, found...)}, view.Doctor); err != nil || len(found) == 0 {
		return err
	}
	return cli.Exit(cli.ExitProfile, nil)
}
