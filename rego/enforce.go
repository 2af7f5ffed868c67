package rego

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
)

// The values of custom.enforce in the METADATA of a package. A package with warn
// contributes like any other. Its contributions are shown and have no effect.
const (
	enforceAlways = "enforce"
	enforceWarn   = "warn"
)

// enforceOf reads custom.enforce of a package. Without it, the package is enforced.
func enforceOf(module *ast.Module) (value string, at *ast.Location) {
	for _, a := range module.Annotations {
		if a.Scope != "package" {
			continue
		}
		if custom, ok := a.Custom["enforce"]; ok {
			text, _ := custom.(string)
			return text, a.Location
		}
	}
	return enforceAlways, nil
}

// checkEnforce refuses an unknown value: a misspelt warn must not enforce a package
// that its author only wants to try.
func checkEnforce(sources []Source) Errors {
	var errs Errors
	for _, s := range sources {
		value, place := enforceOf(s.Module)
		for _, a := range s.Module.Annotations {
			if _, ok := a.Custom["enforce"]; ok && a.Scope != "package" {
				errs = append(errs, at(a.Location, "enforce_place", "custom.enforce has no effect here: its scope is %s, and only a whole package can be tried", a.Scope))
			}
		}
		if value != enforceAlways && value != enforceWarn {
			errs = append(errs, at(place, "enforce_word", "custom.enforce is %q, have %s, %s", value, enforceAlways, enforceWarn))
		}
	}
	return errs
}

// isWarnOnly reports whether METADATA or settings.warn_rules say that a package
// contributes without effect.
func isWarnOnly(s Source, warn map[string]bool) bool {
	value, _ := enforceOf(s.Module)
	return value == enforceWarn || warn[s.Package()]
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
