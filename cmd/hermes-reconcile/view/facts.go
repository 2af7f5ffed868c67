package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"hermes-reconcile/policy"
)

// Facts prints one fact a line.
func Facts(w io.Writer, in policy.Input) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "OF\tFACT\tVALUE")
	for _, fact := range slices.Sorted(maps.Keys(in.Container)) {
		fmt.Fprintf(table, "container\t%s\t%s\n", fact, in.Container[fact])
	}
	for _, name := range slices.Sorted(maps.Keys(in.Profiles)) {
		for _, fact := range slices.Sorted(maps.Keys(in.Profiles[name])) {
			fmt.Fprintf(table, "%s\t%s\t%s\n", name, fact, in.Profiles[name][fact])
		}
	}
	return table.Flush()
}
