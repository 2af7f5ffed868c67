package view

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"hermes-reconcile/engine/reconcile"
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
		line(w, "PENDING %s: its run script changed, effective at its next start (apply --restart-changed restarts it)", name)
	}
	writeAlarms(w, r.Alarms)
	for _, text := range r.Errors {
		line(w, "FAILED  %s", text)
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
	table := newTable(w)
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
		table.row(fmt.Sprintf("%s %s", sign, op.Op), op.Profile, object(op.Operation), "# "+op.Cause)
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
		line(w, "%s: %s", name, text)
		for _, note := range p.Notes {
			line(w, "        %s", note)
		}
		for _, text := range p.Errors {
			line(w, "FAILED  %s: %s", name, text)
		}
	}
	return nil
}
