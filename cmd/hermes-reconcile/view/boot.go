package view

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
)

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
