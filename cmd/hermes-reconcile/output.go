package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"go.yaml.in/yaml/v3"

	"hermes-reconcile/policy"
)

// writeDocument prints a value as JSON or YAML.
func writeDocument(w io.Writer, format string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	if format == "json" {
		_, err = fmt.Fprintf(w, "%s\n", text)
		return err
	}
	// Through JSON, so that both have the same keys in the same shape.
	var plain any
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	if err := decoder.Decode(&plain); err != nil {
		return err
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(plain); err != nil {
		return err
	}
	return encoder.Close()
}

// writeDecisions prints decisions as a table: what, and why.
func writeDecisions(w io.Writer, d policy.Decisions) error {
	for _, c := range d.Skip {
		fmt.Fprintf(w, "This container supervises nothing: %s (%s, %s)\n", line(c.Reason), c.Rule, c.Location)
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "PROFILE\tACTION\tCODE\tPRIOR STATE\tREASON")
	for _, name := range slices.Sorted(maps.Keys(d.Profiles)) {
		p := d.Profiles[name]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", name, p.Action, p.Code, word(p.PriorState), line(p.Reason))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	writeTried(w, d)
	writeAlarms(w, d)
	return nil
}

// writeTried prints what rules say that are only being tried.
func writeTried(w io.Writer, d policy.Decisions) {
	for _, name := range slices.Sorted(maps.Keys(d.Profiles)) {
		for _, c := range d.Profiles[name].Contributions {
			if !c.Counts() && c.Set != policy.SetAlarm {
				fmt.Fprintf(w, "TRIED   %s: %s, not enforced: %s (%s, %s)\n", name, c.Set, line(c.Reason), c.Rule, c.Location)
			}
		}
	}
}

func writeAlarms(w io.Writer, d policy.Decisions) {
	for _, e := range d.Policy.Errors {
		fmt.Fprintf(w, "POLICY  %s\n", e)
	}
	if d.Policy.Fallback {
		fmt.Fprintf(w, "POLICY  these rules could not be used; %s decided\n", d.Policy.Source)
	}
	for _, a := range d.Alarms {
		about := ""
		if a.Profile != "" {
			about = a.Profile + ": "
		}
		fmt.Fprintf(w, "ALARM   %s%s\n", about, line(a.Reason))
	}
}

// signs are what a plan shows before an operation, as terraform does.
var signs = map[policy.Op]string{
	policy.OpPublish: "+", policy.OpSeed: "+", policy.OpRemove: "-", policy.OpSweep: "-",
}

// writePlan prints a plan, one operation a line, and how many there are.
func writePlan(w io.Writer, plan []policy.Operation) error {
	fmt.Fprintln(w)
	if len(plan) == 0 {
		_, err := fmt.Fprintln(w, "Plan: nothing to do.")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	counts := map[policy.Op]int{}
	for _, op := range plan {
		counts[op.Op]++
		sign, ok := signs[op.Op]
		if !ok {
			sign = "~"
		}
		fmt.Fprintf(table, "%s %s\t%s\t%s\t# %s\n", sign, op.Op, op.Profile, object(op), line(op.Cause))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var parts []string
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[op], op))
	}
	_, err := fmt.Fprintf(w, "Plan: %s.\n", strings.Join(parts, ", "))
	return err
}

// object says what an operation is done to.
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
	case len(op.Files) > 0:
		return op.Slot + " " + strings.Join(op.Files, ",")
	}
	return op.Slot
}

// line prints text that may come from the volume without what would break a line
// or steer a terminal.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// word prints text that came from the volume as one word: whatever an agent wrote
// there, it cannot break a line or pass for another key.
func word(text string) string {
	plain := text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.:/", r))
	})
	if plain {
		return text
	}
	return fmt.Sprintf("%+q", text)
}

// plural is "1 file", "2 files".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
