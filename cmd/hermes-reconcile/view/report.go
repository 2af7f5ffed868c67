package view

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"hermes-reconcile/engine/reconcile"
)

// Report prints what a command did to a running container.
func Report(w io.Writer, r reconcile.Report) {
	Screen{}.skip(w, r.Skip)
	switch {
	case r.DryRun:
		writeOutcomes(w, r.Profiles)
		writePlan(w, r.Plan.Operations)
	case r.Command == "apply" && len(r.Operations) > 0:
		writeOperations(w, r.Operations)
	case r.Command != "apply" && len(r.Profiles) > 0:
		writeOutcomes(w, r.Profiles)
	case len(r.Skip) == 0:
		fmt.Fprintln(w, "Nothing to do.")
	}
	isRecorded := func(name string) bool { return r.Profiles[name].Recorded }
	if r.Command == "stop" && !r.DryRun && slices.ContainsFunc(slices.Collect(maps.Keys(r.Profiles)), isRecorded) {
		fmt.Fprintln(w, "Later boots keep them down too, until start. To stop gateways for a while, use pause.")
	}
	for _, name := range r.Pending {
		line(w, "PENDING %s: its run script changed, effective at its next start (apply --restart-changed restarts it)", name)
	}
	Screen{}.alarms(w, r.Alarms)
	for _, text := range r.Errors {
		line(w, "FAILED  %s", text)
	}
}

// writeOperations prints what apply did, one operation a line.
func writeOperations(w io.Writer, operations []reconcile.Operation) {
	done := 0
	table := newTable(w)
	for _, op := range operations {
		sign := signOf(op.Op)
		switch {
		case op.Error != "":
			sign = "!"
		case !op.Done:
			sign = "="
		}
		if op.Done {
			done++
		}
		table.operation(sign, op.Operation)
	}
	table.end()
	fmt.Fprintf(w, "Done: %d of %d.\n", done, len(operations))
	for _, op := range operations {
		writeDiff(w, op.Operation)
	}
}

// writeOutcomes prints a line for each profile, with its notes and errors below.
func writeOutcomes(w io.Writer, profiles map[string]*reconcile.Outcome) {
	for _, name := range slices.Sorted(maps.Keys(profiles)) {
		p := profiles[name]
		text := cmp.Or(string(p.Outcome), "dry run")
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
}
