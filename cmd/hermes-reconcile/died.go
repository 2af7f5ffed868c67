package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/engine/volume/remote"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6/deaths"
	"hermes-reconcile/s6/scripts"
)

// exitStayDown is the exit status by which a finish script ends restarts.
const exitStayDown = 125

// diedTime is shorter than the five seconds that s6-supervise gives a finish script.
const diedTime = 3 * time.Second

func newDied() *cobra.Command {
	var home, user string
	cmd := &cobra.Command{
		Use:    world.DiedName + " --home DIR --user USER -- EXITCODE SIGNAL [NAME [PGID]]",
		Short:  "Count the death of a gateway for a finish script (internal)",
		Hidden: true,
		Args:   cobra.RangeArgs(2, 4),
		RunE: func(cmd *cobra.Command, args []string) error {
			remote.TuneMemory()
			return died(cmd, home, user, args)
		},
	}
	cmd.Flags().StringVar(&home, "home", "", "the home on the volume")
	cmd.Flags().StringVar(&user, "user", "", "the unprivileged user")
	return cmd
}

// died answers a death. When anything fails, the gateway is restarted, unless its budget is
// known to be used up.
func died(cmd *cobra.Command, home, user string, args []string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), diedTime)
	defer cancel()
	code, err := strconv.Atoi(args[0])
	signal, signalErr := strconv.Atoi(args[1])
	if err := errors.Join(err, signalErr); err != nil {
		return fmt.Errorf("%s is for finish scripts: %w", world.DiedName, err)
	}
	answer, err := deaths.Death{Dir: ".", ExitCode: code, Signal: signal, OOMKills: oomKills(), Now: time.Now()}.Answer()
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "hermes-reconcile: %s %s: %v\n", world.DiedName, answer.Profile, err)
	}
	if answer.Hold != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "hermes-reconcile: profile %s is held: %d deaths within %g s\n", policy.Word(answer.Profile), answer.Hold.Deaths, answer.Hold.WindowSeconds)
		if err := keepHold(ctx, home, user, answer); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "hermes-reconcile: profile %s: the hold lasts only until the container starts again: %v\n", policy.Word(answer.Profile), err)
		}
	}
	if answer.Down {
		return cli.Exit(exitStayDown, nil)
	}
	return nil
}

// oomKills is how many processes the container has lost for want of memory, 0 when unknown.
func oomKills() int64 {
	for _, file := range scripts.OOMFiles {
		data, _ := read.Path(file, read.MaxState)
		if count, err := strconv.ParseInt(read.Field(data, "oom_kill"), 10, 64); err == nil {
			return count
		}
	}
	return 0
}

// keepHold records the hold on the volume, as the unprivileged user.
func keepHold(ctx context.Context, home, user string, answer deaths.Answer) error {
	volume, err := world.Volume(config.Config{Home: home, User: user}, policy.PhaseApply)
	if err != nil {
		return err
	}
	defer volume.Close()
	_, err = volume.Change(ctx, engine.Change{Kind: engine.WriteHold, Profile: answer.Profile, Hold: answer.Hold})
	return err
}
