package view

import (
	"fmt"
	"io"
	"strings"

	"hermes-reconcile/policy"
)

// A Rescan is what `rescan` found before it asked for a scan.
type Rescan struct {
	SchemaVersion policy.Version `json:"schema_version"`
	DryRun        bool           `json:"dry_run"`      // nothing was asked for
	Unsupervised  int            `json:"unsupervised"` // slots without a supervisor
}

// RescanLine prints what a dry run found. A rescan that worked has nothing to say.
func RescanLine(w io.Writer, r Rescan) {
	if r.DryRun {
		fmt.Fprintf(w, "Slots without a supervisor: %d.\n", r.Unsupervised)
	}
}

// Accepted is the stops that `watch --accept` accepted, or would accept.
type Accepted struct {
	SchemaVersion policy.Version `json:"schema_version"`
	DryRun        bool           `json:"dry_run"` // nothing was accepted
	Stops         []string       `json:"stops"`   // the profiles that the watch is asked to stop
}

// AcceptedLine prints the stops.
func AcceptedLine(w io.Writer, a Accepted) {
	switch {
	case len(a.Stops) == 0:
		fmt.Fprintln(w, "no stop waits to be accepted")
	case a.DryRun:
		line(w, "would be stopped: %s", strings.Join(a.Stops, ", "))
	default:
		line(w, "asked to stop: %s", strings.Join(a.Stops, ", "))
	}
}
