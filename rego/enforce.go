package rego

import (
	"fmt"
	"strconv"

	"hermes-reconcile/policy"
)

// The values of custom.enforce in the METADATA of a package. A package with warn
// contributes like any other. Its contributions are shown and have no effect.
const (
	enforceAlways = "enforce"
	enforceWarn   = "warn"
)

// checkCustom refuses an unknown value: a misspelt warn must not enforce a package
// that its author only wants to try.
func checkCustom(sources []Source) Errors {
	var errs Errors
	for _, s := range sources {
		for _, a := range s.Module.Annotations {
			value, ok := a.Custom["enforce"]
			switch {
			case !ok:
			case a.Scope != "package":
				errs = append(errs, at(a.Location, "enforce_place", "custom.enforce has no effect here: its scope is %s, and only a whole package can be tried", a.Scope))
			case value != enforceAlways && value != enforceWarn:
				errs = append(errs, at(a.Location, "enforce_word", "custom.enforce is %q, have %s, %s", fmt.Sprint(value), enforceAlways, enforceWarn))
			}
			order, ok := a.Custom["order"]
			if _, err := strconv.ParseFloat(fmt.Sprint(order), 64); ok && (err != nil || a.Scope != "package") {
				errs = append(errs, at(a.Location, "order_number", "custom.order is %v with scope %s, want a number with scope package", order, a.Scope))
			}
		}
	}
	return errs
}

// isWarnOnly reports whether METADATA or settings.warn_rules say that a package
// contributes without effect.
func isWarnOnly(s Source, warn map[string]bool) bool {
	a := s.Metadata()
	return a != nil && a.Custom["enforce"] == enforceWarn || warn[s.Package()]
}

// withoutEffect marks the contributions and failures of a warn-only package.
func withoutEffect(e policy.Evaluation) policy.Evaluation {
	no := false
	for i := range e.Contributions {
		e.Contributions[i].Enforced = &no
	}
	for i := range e.Failures {
		e.Failures[i].NotEnforced = true
	}
	return e
}
