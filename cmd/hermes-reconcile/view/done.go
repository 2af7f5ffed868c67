package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/rego/workbench"
)

// Files is what a command did to a directory of rules, or would do. `policy init`,
// `policy add` and `policy fmt` print it.
type Files struct {
	SchemaVersion policy.Version   `json:"schema_version"`
	DryRun        bool             `json:"dry_run"` // nothing was written
	Files         []workbench.File `json:"files"`
	Next          string           `json:"next,omitempty"` // the command to go on with
}

// FilesTable prints a line for each file.
func FilesTable(w io.Writer, f Files) {
	wrote, added := "wrote", "added"
	if f.DryRun {
		wrote, added = "would write", "would add"
	}
	for _, file := range f.Files {
		if len(file.Settings) > 0 {
			line(w, "%s %s to %s", added, strings.Join(file.Settings, ", "), file.Path)
		} else {
			line(w, "%s %s", wrote, file.Path)
		}
	}
	if f.Next != "" {
		line(w, "Next: %s", f.Next)
	}
}

// Formatted prints the names of the files that are formatted differently, or what differs.
func Formatted(w io.Writer, f Files) {
	for _, file := range f.Files {
		if file.Diff == "" {
			line(w, "%s", file.Path)
		}
		io.WriteString(w, file.Diff)
	}
}

// A Forgotten is the last good copy of the rules, which is removed, or would be. `policy
// forget` prints it.
type Forgotten struct {
	SchemaVersion policy.Version `json:"schema_version"`
	DryRun        bool           `json:"dry_run"` // it is still there
	StateDir      string         `json:"state_dir"`
	Copy          *Copy          `json:"copy"` // null: there is none
}

// A Copy is a last good copy.
type Copy struct {
	Saved       time.Time `json:"saved"`
	Revision    string    `json:"revision"`
	Directories []string  `json:"directories"` // of the rules; empty: it has only settings of the configuration
}

// String describes a copy.
func (c Copy) String() string {
	from := "no directory, only settings of the configuration"
	if len(c.Directories) > 0 {
		from = strings.Join(c.Directories, "; ")
	}
	return fmt.Sprintf("the last good copy of %s (revision %s), with rules of %s", c.Saved.Format(time.RFC3339), c.Revision, from)
}

// ForgottenLine prints what is forgotten.
func ForgottenLine(w io.Writer, f Forgotten) {
	switch {
	case f.Copy == nil:
		line(w, "There is no last good copy in state_dir %q.", f.StateDir)
	case f.DryRun:
		line(w, "Would forget %s.", f.Copy)
	default:
		line(w, "Forgot %s.", f.Copy)
	}
}

// An AcceptedRevision is the revision of a bundle that may replace a newer one, or might.
// `policy accept` prints it.
type AcceptedRevision struct {
	SchemaVersion policy.Version `json:"schema_version"`
	DryRun        bool           `json:"dry_run"` // it may not
	Revision      string         `json:"revision"`
}

// AcceptedRevisionLine prints what is accepted.
func AcceptedRevisionLine(w io.Writer, a AcceptedRevision) {
	if a.DryRun {
		line(w, "Would accept revision %s.", a.Revision)
		return
	}
	line(w, "Accepted revision %s. The watch fetches it again.", a.Revision)
}

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
