package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"hermes-reconcile/engine/explain"
	"hermes-reconcile/policy"
)

// Comparison prints which profiles two policies decide differently.
func Comparison(w io.Writer, c explain.Comparison) error {
	fmt.Fprintf(w, "present    %s (revision %s)\n", c.Present.Source, c.Present.Revision)
	for _, e := range c.Present.Errors {
		fmt.Fprintf(w, "           instead of what is configured: %s\n", policy.Line(e))
	}
	fmt.Fprintf(w, "candidate  %s (revision %s)\n\n", c.Candidate.Source, c.Candidate.Revision)
	if len(c.Profiles) > 0 {
		table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "PROFILE\tPRESENT\tCANDIDATE\tBECAUSE")
		for _, name := range slices.Sorted(maps.Keys(c.Profiles)) {
			d := c.Profiles[name]
			fmt.Fprintf(table, "%s\t%s %s\t%s %s\t%s\n", name, d.Present.Action, d.Present.Code, d.Candidate.Action, d.Candidate.Code, policy.Line(d.Because()))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	writeAlarms(w, c.Alarms)
	_, err := fmt.Fprintf(w, "%s decided differently, %d alike.\n", policy.Count(len(c.Profiles), "profile"), c.Same)
	return err
}
