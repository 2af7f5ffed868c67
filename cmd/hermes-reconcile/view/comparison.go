package view

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"hermes-reconcile/engine/explain"
	"hermes-reconcile/policy"
)

// Comparison prints which profiles two policies decide differently.
func Comparison(w io.Writer, c explain.Comparison) {
	line(w, "present    %s (revision %s)", c.Present.Source, c.Present.Revision)
	what := "with a mistake"
	if c.Present.Fallback {
		what = "instead of what is configured"
	}
	for _, e := range c.Present.Errors {
		line(w, "           %s: %s", what, e)
	}
	line(w, "candidate  %s (revision %s)", c.Candidate.Source, c.Candidate.Revision)
	fmt.Fprintln(w)
	if len(c.Profiles) > 0 {
		table := newTable(w, "PROFILE", "PRESENT", "CANDIDATE", "BECAUSE")
		for _, name := range slices.Sorted(maps.Keys(c.Profiles)) {
			d := c.Profiles[name]
			table.row(name, fmt.Sprintf("%s %s", d.Present.Action, d.Present.Code), fmt.Sprintf("%s %s", d.Candidate.Action, d.Candidate.Code), d.Because())
		}
		table.end()
	}
	Screen{}.alarms(w, c.Alarms)
	fmt.Fprintf(w, "%s decided differently, %d alike.\n", policy.Count(len(c.Profiles), "profile"), c.Same)
}
