package rego

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
)

// leaveOut leaves out the files that cannot be parsed or have mistakes, and each package that
// refers to one of theirs, until use finds no mistake in the rest. Usable is nil if a mistake is
// in no file. More are the mistakes that were found on the way.
func (r Rules) leaveOut(use func(Rules) Errors) (usable, broken []Source, more Errors) {
	broken = slices.DeleteFunc(slices.Clone(r.Sources), func(s Source) bool { return s.Module != nil })
	r.Sources = parsed(r.Sources)
	for {
		found := r.dependents(broken)
		if len(found) == 0 {
			found = use(r)
		}
		if len(found) == 0 {
			return r.Sources, broken, more
		}
		more = append(more, found...)
		var kept []Source
		for _, s := range r.Sources {
			if slices.ContainsFunc(found, func(e *Error) bool { return e.File == s.Name }) {
				broken = append(broken, s)
				continue
			}
			if again, err := Parse(s.Layer, s.Name, s.Text); err == nil { // use has changed the module
				s.Module = again.Module
			}
			kept = append(kept, s)
		}
		if len(kept) == len(r.Sources) {
			return nil, nil, more
		}
		r.Sources = kept
	}
}

// dependents reports the packages that refer to a package which is left out. A reference to
// a rule that does not exist would be undefined, without a word.
func (r Rules) dependents(broken []Source) Errors {
	defined := map[string]bool{}
	for _, s := range r.Sources {
		defined[s.Package()] = true
	}
	var missing []string // looked for once: the name may stand anywhere in a large file
	for _, s := range broken {
		if name := s.Package(); !defined[name] {
			missing = append(missing, name)
		}
	}
	var errs Errors
	for _, s := range r.Sources {
		if len(missing) == 0 {
			break
		}
		ast.WalkRefs(s.Module, func(ref ast.Ref) bool {
			to := ref.ConstantPrefix().String() + "."
			for _, m := range missing {
				if name := "data." + m + "."; strings.HasPrefix(to, name) || strings.HasPrefix(name, to) {
					errs = append(errs, at(ref[0].Location, "needs_broken", "it needs %s, which cannot be used", m))
				}
			}
			return false
		})
	}
	return errs
}

// failing makes the packages of files that cannot be used. Evaluated, they fail with the
// mistakes. A package of helpers fails without an effect, because the packages that need it
// fail. The mistakes in settings fail like a package.
func failing(broken []Source, packages []rulePackage, mistakes Errors, warn map[string]bool) []rulePackage {
	var all []rulePackage
	for _, s := range broken {
		p := rulePackage{Package: Package{Name: s.Package(), Stage: policy.StageRules, Layer: s.Layer, File: s.Name}}
		same := func(o rulePackage) bool { return o.Name == p.Name }
		if slices.ContainsFunc(packages, same) || slices.ContainsFunc(all, same) {
			p.Name = s.Name
		}
		p.WarnOnly = s.Kind() == KindLib || s.Kind() == KindMask || warn[s.Package()] || s.Module != nil && isWarnOnly(s, nil)
		all = append(all, p.failWith(mistakes, func(e *Error) bool { return e.File == s.Name }))
	}
	settings := rulePackage{Package: Package{Name: "settings", Stage: policy.StageRules}}
	settings = settings.failWith(mistakes, func(e *Error) bool { return e.setting != "" })
	if len(settings.failures) > 0 {
		all = append(all, settings)
	}
	return all
}

func (p rulePackage) failWith(mistakes Errors, about func(*Error) bool) rulePackage {
	for _, e := range mistakes {
		if about(e) {
			p.failures = append(p.failures, policy.RuleFailure{Rule: p.Name, Location: e.place(), Error: e.Message, Setting: e.setting != ""})
		}
	}
	return p
}

// orderOf returns the order in the METADATA of a package, or 0.
func orderOf(s Source) (order float64) {
	if a := s.Metadata(); a != nil {
		order, _ = strconv.ParseFloat(fmt.Sprint(a.Custom["order"]), 64)
	}
	return order
}
