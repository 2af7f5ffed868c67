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
