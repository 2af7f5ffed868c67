package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/policy"
)

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
	until, err := timeFrom(f.until, now)
	switch {
	case err != nil:
		return p, fmt.Errorf("--until %q is no time, want one such as 07:00, \"2026-12-24 07:00\", 2026-12-24T07:00:00+01:00 or 90m", f.until)
	case !until.After(now):
		return p, fmt.Errorf("--until %s is over, want a time after %s", f.until, now.Format(time.DateTime))
	}
	p.Until = until.Format(time.RFC3339)
	return p, nil
}

// timeFrom reads a time, in the zone of now unless it has one. A time of the day is the next
// one, and a duration counts from now.
func timeFrom(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d), nil
	}
	if t, err := time.Parse("15:04", text); err == nil {
		next := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location())
		if !next.After(now) {
			next = next.AddDate(0, 0, 1)
		}
		return next, nil
	}
	if t, err := time.ParseInLocation("2006-01-02 15:04", text, now.Location()); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, text)
}
