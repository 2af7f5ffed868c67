package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
)

// Report prints what a command did to a running container.
func Report(w io.Writer, format string, r reconcile.Report) error {
	if format != "table" {
		return Document(w, format, r)
	}
	writeSkip(w, r.Skip)
	var err error
	if r.Command == "apply" {
		err = writeOperations(w, r)
	} else {
		err = writeOutcomes(w, r)
	}
	for _, name := range r.Pending {
		fmt.Fprintf(w, "PENDING %s: its run script changed, effective at its next start (apply --restart-changed restarts it)\n", policy.Line(name))
	}
	writeAlarms(w, r.Alarms)
	for _, text := range r.Errors {
		fmt.Fprintf(w, "FAILED  %s\n", policy.Line(text))
	}
	return err
}

// writeOperations prints what apply did, one operation a line.
func writeOperations(w io.Writer, r reconcile.Report) error {
	if len(r.Operations) == 0 {
		if len(r.Skip) > 0 {
			return nil
		}
		_, err := fmt.Fprintln(w, "Nothing to do.")
		return err
	}
	done := 0
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, op := range r.Operations {
		sign, ok := signs[op.Op]
		switch {
		case op.Error != "":
			sign = "!"
		case !op.Done:
			sign = "="
		case !ok:
			sign = "~"
		}
		if op.Done {
			done++
		}
		fmt.Fprintf(table, "%s %s\t%s\t%s\t# %s\n", sign, op.Op, policy.Line(op.Profile), object(op.Operation), policy.Line(op.Cause))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "Done: %d of %d.\n", done, len(r.Operations))
	return err
}

// writeOutcomes prints a line for each profile, with its notes and errors below.
func writeOutcomes(w io.Writer, r reconcile.Report) error {
	if len(r.Profiles) == 0 && len(r.Skip) == 0 {
		_, err := fmt.Fprintln(w, "Nothing to do.")
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(r.Profiles)) {
		p := r.Profiles[name]
		text := p.Outcome
		if p.PID != 0 {
			text += fmt.Sprintf(", pid %d", p.PID)
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", policy.Line(name), policy.Line(text)); err != nil {
			return err
		}
		for _, note := range p.Notes {
			fmt.Fprintf(w, "        %s\n", policy.Line(note))
		}
		for _, text := range p.Errors {
			fmt.Fprintf(w, "FAILED  %s: %s\n", policy.Line(name), policy.Line(text))
		}
	}
	return nil
}
