package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/cmd/hermes-reconcile/cli"
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/view"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/gatewaylog"
	"hermes-reconcile/engine/ledger"
)

// logsInterval is the time from one look at the logs to the next.
const logsInterval = 250 * time.Millisecond

func newLogs() *cobra.Command {
	var since string
	var follow bool
	q := gatewaylog.Query{}
	cmd := &cobra.Command{
		Use:   "logs PROFILE...",
		Short: "Show what gateways printed",
		Long: `Print the log of a gateway, the newest line last: what it wrote to standard output and
standard error, as s6-log keeps it below logs/gateways in the home. Times are in the zone
of TZ. With several profiles each line begins with the profile, and -n counts for each of them.
-f goes on until ctrl-c, also over a rotation. With -o json each line is an object.

The agent can write to this directory, so a line is no proof.`,
		Example: `  hermes-reconcile logs coder
  hermes-reconcile logs coder writer -f -n 20
  hermes-reconcile logs coder --since 2h
  hermes-reconcile logs coder --since '2026-11-22 06:00' -o json`,
		RunE: cli.Configured(func(cmd *cobra.Command, c config.Config, names []string) (err error) {
			if len(names) == 0 {
				return errors.New("which profile? Give names")
			}
			if q.Most < 1 || q.Most > gatewaylog.MaxLines {
				return fmt.Errorf("-n is %d, want 1 to %d lines", q.Most, gatewaylog.MaxLines)
			}
			if q.Since, err = sinceTime(since, time.Now()); err != nil {
				return err
			}
			if since != "" && !cmd.Flags().Changed("lines") {
				q.Most = gatewaylog.MaxLines
			}
			return showLogs(cmd, c, names, q, follow)
		}),
	}
	cmd.Flags().IntVarP(&q.Most, "lines", "n", 100, "how many lines of each profile, the newest; with --since all")
	cmd.Flags().StringVar(&since, "since", "", "only lines of this time or later: a duration such as 2h, or a time")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with lines as they come")
	return cmd
}

// sinceTime reads a duration before now, or a time. No text is the zero time.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	if t, ok := nextTime(text, now); ok && t.Before(now) {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("--since is %q, want a duration such as 2h, or a time before now such as 2026-11-22T06:00:00Z or '2026-11-22 06:00'", text)
}

// showLogs prints the lines of the logs that q asks for, sorted by time, and with follow those
// that come later, until the context ends. A log that cannot be read is an error after the
// others are printed.
func showLogs(cmd *cobra.Command, c config.Config, names []string, q gatewaylog.Query, follow bool) error {
	volume, log, err := openVolume(cmd, c)
	if err != nil {
		return err
	}
	defer volume.Close()
	known, err := volume.Runs(cmd.Context(), ledger.Query{Profiles: names, Most: 1})
	if err != nil {
		return cli.Failed(fmt.Errorf("the profiles: %w", err))
	}
	if err := cli.PassError(engine.CheckNames(names, known.Names)); err != nil {
		return err
	}
	slices.Sort(names)
	names = slices.Compact(names)
	places := map[string]ledger.Place{}
	return again(cmd.Context(), logsInterval, follow, func() error {
		var lines []gatewaylog.Line
		var problems []error
		for _, name := range names {
			q.Profile, q.After = name, places[name]
			found, err := volume.GatewayLog(cmd.Context(), q)
			if err != nil {
				problems = append(problems, fmt.Errorf("the log of %s: %w", name, err))
			}
			if q.After != (ledger.Place{}) {
				found.Notes = nil // they were said
			}
			for _, note := range found.Notes {
				log.Warn("the log of "+name, "note", note)
			}
			lines, places[name] = append(lines, found.Lines...), found.Place
		}
		slices.SortStableFunc(lines, gatewaylog.Line.Compare)
		q.Most, q.Since = gatewaylog.MaxLines, time.Time{}
		table := view.Log
		if len(names) > 1 {
			table = view.Logs
		}
		err := view.Stream(cmd.OutOrStdout(), c.Output, lines, table)
		return cli.Failed(errors.Join(append(problems, err)...))
	})
}
