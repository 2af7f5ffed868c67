package view

import (
	"fmt"
	"io"
	"strings"

	"hermes-reconcile/policy"
)

// A Diagnosis is what is missing in an installation. `doctor --output json` prints it.
type Diagnosis struct {
	SchemaVersion policy.Version `json:"schema_version"`
	Findings      []Finding      `json:"findings"`
}

// A Finding is one thing that is missing, and what mends it.
type Finding struct {
	Code    string `json:"code"`
	Profile string `json:"profile,omitempty"` // empty: the whole installation
	Reason  string `json:"reason"`
	Mend    string `json:"mend,omitempty"`
}

// Doctor prints each finding, and below it what mends it.
func Doctor(w io.Writer, d Diagnosis) {
	if len(d.Findings) == 0 {
		fmt.Fprintln(w, "Nothing is missing.")
	}
	for _, f := range d.Findings {
		line(w, "%s  %s", f.Code, strings.TrimPrefix(f.Profile+": "+f.Reason, ": "))
		if f.Mend != "" {
			line(w, "  mend: %s", f.Mend)
		}
	}
}
