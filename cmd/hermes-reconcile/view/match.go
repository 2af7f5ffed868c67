package view

import (
	"encoding/json"
	"io"

	"hermes-reconcile/rego/workbench"
)

// Match prints what a rule package says of a profile: for each of its rules the reasons, or
// where it stopped, with the values.
func Match(w io.Writer, m workbench.Match) {
	line(w, "%s (%s), for %s:", m.Rule, m.File, m.Profile)
	for _, r := range m.Rules {
		line(w, "  %s at %s %s", r.Set, r.Location, outcomeOf(r))
		for _, s := range r.Stopped {
			word := "false"
			if s.Undefined {
				word = "undefined"
			}
			line(w, "    %-9s %s: %s", word, s.Location, cut(s.Expression, 160))
			for _, v := range s.Values {
				line(w, "              %s", describeValue(v))
			}
		}
		for _, text := range r.Printed {
			line(w, "    print     %s", text)
		}
	}
}

func outcomeOf(r workbench.RuleMatch) string {
	switch {
	case r.Failure != "":
		return "broke: " + r.Failure
	case len(r.Says) > 0:
		return "applies: " + r.Says[0]
	case len(r.Stopped) > 0:
		return "stopped:"
	}
	return "does not apply, and no expression of it is false"
}

func describeValue(v workbench.Value) string {
	if !v.Present {
		return v.Name + " is not there"
	}
	text, err := json.Marshal(v.Value)
	if err != nil {
		return v.Name + " is no JSON"
	}
	return v.Name + " = " + cut(string(text), 120)
}
