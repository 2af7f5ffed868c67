package view

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"hermes-reconcile/engine/explain"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

// Decisions prints decisions as a table, with the reasons.
func Decisions(w io.Writer, d policy.Decisions) {
	Screen{}.skip(w, d.Skip)
	table := newTable(w, "PROFILE", "ACTION", "CODE", "PRIOR STATE", "REASON")
	for _, name := range slices.Sorted(maps.Keys(d.Profiles)) {
		p := d.Profiles[name]
		table.row(name, p.Action, p.Code, policy.Word(string(p.PriorState)), p.Reason)
	}
	table.end()
	writeTried(w, d)
	Screen{}.policy(w, d)
}

// DecisionsAndPlan prints decisions, and below them their plan.
func DecisionsAndPlan(w io.Writer, d policy.Decisions) {
	Decisions(w, d)
	writePlan(w, d.Plan)
}

// writeTried prints the contributions of rules that are only tried.
func writeTried(w io.Writer, d policy.Decisions) {
	for _, name := range slices.Sorted(maps.Keys(d.Profiles)) {
		for _, c := range d.Profiles[name].Contributions {
			if !c.Counts() && c.Set != policy.SetAlarm {
				line(w, "TRIED   %s: %s, not enforced: %s (%s, %s)", name, c.Set, c.Reason, c.Rule, c.Location)
			}
		}
	}
}

// policy prints the errors of the policy, and the alarms.
func (s Screen) policy(w io.Writer, d policy.Decisions) {
	for _, e := range d.Policy.Errors {
		heading := "POLICY"
		for text := range strings.SplitSeq(e, "\n") {
			s.say(w, heading, "%s", text)
			heading = " "
		}
	}
	if d.Policy.Fallback {
		s.say(w, "POLICY", "rules could not be used as they are; %s decided", d.Policy.Source)
	}
	s.alarms(w, d.Alarms)
}

// skip prints why the container supervises nothing.
func (s Screen) skip(w io.Writer, skip []policy.Contribution) {
	for _, c := range skip {
		s.say(w, "", "This container supervises nothing: %s (%s, %s)", c.Reason, c.Rule, c.Location)
	}
}

// signs stand before operations, as in a plan of terraform.
var signs = map[policy.Op]string{
	policy.OpPublish: "+", policy.OpSeed: "+", policy.OpRemove: "-", policy.OpSweep: "-",
}

// signOf is the sign of an operation, for those that change something "~".
func signOf(op policy.Op) string { return cmp.Or(signs[op], "~") }

// writePlan prints a plan, one operation a line, and how many there are.
func writePlan(w io.Writer, plan []policy.Operation) {
	fmt.Fprintln(w)
	if len(plan) == 0 {
		fmt.Fprintln(w, "Plan: nothing to do.")
		return
	}
	table := newTable(w)
	counts := map[policy.Op]int{}
	for _, op := range plan {
		counts[op.Op]++
		table.operation(signOf(op.Op), op)
	}
	table.end()
	var parts []string
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[op], op))
	}
	fmt.Fprintf(w, "Plan: %s.\n", strings.Join(parts, ", "))
	for _, op := range plan {
		writeDiff(w, op)
	}
}

func (t *table) operation(sign string, op policy.Operation) {
	t.row(fmt.Sprintf("%s %s", sign, op.Op), op.Profile, object(op), "# "+op.Cause)
}

// object is what an operation acts on.
func object(op policy.Operation) string {
	switch {
	case op.Op == policy.OpPublish && op.Down != nil && *op.Down:
		return op.Slot + " down"
	case op.Op == policy.OpPublish:
		return op.Slot + " up"
	case op.Op == policy.OpSeed && op.Seed != nil:
		return op.File + " " + op.Seed.State
	case op.File != "":
		return op.File
	case len(op.Changes) > 0:
		return fmt.Sprintf("%s %s: %s", op.Slot, strings.Join(op.Files, ","), policy.Few(op.Changes))
	case len(op.Files) > 0:
		return op.Slot + " " + strings.Join(op.Files, ",")
	}
	return op.Slot
}

// writeDiff prints which lines an operation changes.
func writeDiff(w io.Writer, op policy.Operation) {
	if op.Diff != "" {
		fmt.Fprintf(w, "\n%s", policy.Clean(op.Diff))
	}
}

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

// Boot prints what the boot log says, as upstream does.
func Boot(w io.Writer, d policy.Decisions) {
	for _, c := range d.Skip {
		line(w, "reconcile: skipped: %s", c.Reason)
	}
	if len(d.Skip) > 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(d.Profiles)) {
		p := d.Profiles[name]
		fmt.Fprintf(w, "reconcile: profile=%s prior_state=%s action=%s\n", policy.Word(name), policy.Word(p.LoggedState()), ledger.Action(p.Action))
	}
}
