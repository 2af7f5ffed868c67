package view

import (
	"io"
	"maps"
	"slices"

	"hermes-reconcile/policy"
)

// Facts prints one fact a line.
func Facts(w io.Writer, in policy.Input) {
	table := newTable(w, "OF", "FACT", "VALUE")
	for _, fact := range slices.Sorted(maps.Keys(in.Container)) {
		table.row("container", fact, string(in.Container[fact]))
	}
	for _, name := range slices.Sorted(maps.Keys(in.Profiles)) {
		for _, fact := range slices.Sorted(maps.Keys(in.Profiles[name])) {
			table.row(name, fact, string(in.Profiles[name][fact]))
		}
	}
	table.end()
}
