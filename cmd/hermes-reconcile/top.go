package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/terminal"
	"hermes-reconcile/cmd/hermes-reconcile/top"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/status"
	"hermes-reconcile/policy/wait"
	"hermes-reconcile/rego/process"
)

func newTop() *cobra.Command {
	return &cobra.Command{
		Use:   "top [PROFILE...]",
		Short: "Watch the profiles live, and act on them with single keys",
		Long: `Show what "status" shows, live, on the whole terminal: trouble first, then the list of
profiles. Below it a pane shows of the chosen profile what "explain", "logs -f" and
"events -f" print. Keys start, stop, restart and release the profile. They do what the
commands of these names do, show beforehand what they would do, and ask. ? lists the keys.

Elsewhere than on a terminal, use "status".`,
		Example: `  hermes-reconcile top
  hermes-reconcile top coder writer
  docker exec -it hermes hermes-reconcile top`,
		RunE: cli.Configured(runTop),
	}
}

// runTop draws until a key, a signal or the end of the terminal ends it. Nothing of it runs
// afterwards.
func runTop(cmd *cobra.Command, c config.Config, names []string) error {
	in, out := terminal.Of(cmd.InOrStdin()), terminal.Of(cmd.OutOrStdout())
	if kind := os.Getenv("TERM"); in == nil || out == nil || slices.Contains([]string{"", "dumb"}, kind) || cmd.Flags().Changed("output") {
		return errors.New("top draws on a terminal that can move its cursor (TERM says which); elsewhere use `hermes-reconcile status`, with -o json for a program")
	}
	ctx, stop := signal.NotifyContext(wait.With(cmd.Context(), nil), syscall.SIGHUP) // the screen is its own
	defer stop()
	rules := &process.Watched{Rules: world.Rules(c), Places: world.Sources(c).Places()}
	defer rules.Close()
	var running sync.RWMutex
	cmd.SetContext(ctx)
	look := func(context.Context) (*status.Document, error) { // it is that of cmd
		running.RLock()
		defer running.RUnlock()
		d, _, err := currentStatus(cmd, c, rules, names)
		return d, err
	}
	first, err := look(ctx)
	if err != nil {
		return err
	}
	cmd.SetErr(io.Discard)
	given := slices.Concat(c.Given, []string{"--output=table", "--log-format=text"})
	err = top.Run(ctx, top.Program{
		Look: look, Now: time.Now, Colour: terminal.HasColours(out),
		Run: func(ctx context.Context, out io.Writer, command ...string) int {
			running.RLock()
			defer running.RUnlock()
			return run(ctx, slices.Concat(given, command), strings.NewReader(""), out, out)
		},
	}, first, in, out)
	stop()
	running.Lock() // all that ran has ended
	if err != nil {
		return cli.Failed(fmt.Errorf("top: %w", err))
	}
	return nil
}
