package rego

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
)

// The words of custom.enforce in the METADATA of a package. A package that is only
// being tried contributes like any other, and what it says is shown and has no
// effect.
const (
	enforceAlways = "enforce"
	enforceWarn   = "warn"
)

// enforceOf reads custom.enforce of a package; without it the package counts.
func enforceOf(module *ast.Module) (word string, at *ast.Location) {
	for _, a := range module.Annotations {
		if a.Scope != "package" {
			continue
		}
		value, ok := a.Custom["enforce"]
		if !ok {
			continue
		}
		text, _ := value.(string)
		return text, a.Location
	}
	return enforceAlways, nil
}

// checkEnforce refuses another word than those that are known: a package that was
// meant to be tried must not take effect by a slip.
func checkEnforce(sources []source) Errors {
	var errs Errors
	for _, s := range sources {
		word, place := enforceOf(s.module)
		for _, a := range s.module.Annotations {
			if _, ok := a.Custom["enforce"]; ok && a.Scope != "package" {
				errs = append(errs, at(a.Location, "enforce_place", "custom.enforce here says nothing: its scope is %s, and a package is tried as a whole", a.Scope))
			}
		}
		if word != enforceAlways && word != enforceWarn {
			errs = append(errs, at(place, "enforce_word", "custom.enforce is %q, have %s, %s", word, enforceAlways, enforceWarn))
		}
	}
	return errs
}

// onlyTried says whether a package is only being tried, by its METADATA or by
// settings.warn_rules.
func onlyTried(s source, warn map[string]bool) bool {
	word, _ := enforceOf(s.module)
	return word == enforceWarn || warn[packageName(s.module.Package.Path)]
}

// shownOnly marks what a package said that is only being tried.
func shownOnly(e policy.Evaluation) policy.Evaluation {
	no := false
	for i := range e.Contributions {
		e.Contributions[i].Enforced = &no
	}
	for i := range e.Failures {
		e.Failures[i].NotEnforced = true
	}
	return e
}
