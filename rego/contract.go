package rego

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
)

// The kinds of rule packages. A package is data.reconcile.<kind>.<name>.
const (
	KindRules = "rules"
	KindAfter = "after"
	KindLib   = "lib"
	KindMask  = "mask" // the package maskPackage
)

// checkContract finds what a layer must not do although it is valid Rego. Every package
// must be new, stand below data.reconcile, contribute to at least one set, and write
// each set as a set.
func checkContract(sources []Source) Errors {
	var errs Errors
	defined := map[string]Source{}
	for _, s := range sources {
		place, name := s.Module.Package.Location, s.Package()
		if s.Kind() == "" {
			errs = append(errs, at(place, "package_place",
				"package %s has no place here, want reconcile.rules.<name>, reconcile.after.<name>, reconcile.lib.<name> or system.log", name))
			continue
		}
		if first, twice := defined[name]; twice {
			errs = append(errs, at(place, "package_redefined",
				"package %s is already defined in %s; a directory adds packages, it does not change them (a built-in one is switched off by settings.disabled_rules)", name, first.Name))
			continue
		}
		defined[name] = s
		if s.contributes() {
			errs = append(errs, checkSets(s)...)
		}
	}
	return errs
}

// checkSets refuses a set that is written as something else. The evaluator would find
// no members in it.
func checkSets(s Source) Errors {
	var errs Errors
	contributes := false
	for _, rule := range s.Module.Rules {
		name := RuleName(rule)
		if !IsSet(name) {
			continue
		}
		contributes = true
		if rule.Default {
			errs = append(errs, at(rule.Location, "set_default", "%s is a set to which rules contribute, and has no default", name))
		} else if !IsMultiValue(rule) {
			errs = append(errs, at(rule.Location, "set_expected",
				"%s is a set to which rules contribute, write: %s contains {%s} if …", name, name, example(policy.Set(name))))
		}
	}
	if !contributes {
		errs = append(errs, at(s.Module.Package.Location, "contributes_nothing",
			"package %s contributes to no set, have %s (a package of helpers belongs to reconcile.lib.<name>)", s.Package(), strings.Join(SetNames(), ", ")))
	}
	return errs
}

// IsMultiValue reports whether a rule adds members to a plain set: name contains x.
func IsMultiValue(rule *ast.Rule) bool {
	return rule.Head.RuleKind() == ast.MultiValue && len(rule.Head.Ref()) == 1 && len(rule.Head.Args) == 0
}

// RuleName returns the first word of a rule's head.
func RuleName(rule *ast.Rule) string {
	if v, ok := rule.Head.Ref()[0].Value.(ast.Var); ok {
		return string(v)
	}
	return ""
}

// IsSet reports whether name is a set to which rules contribute.
func IsSet(name string) bool { return slices.Contains(policy.Sets, policy.Set(name)) }

// SetNames returns the names of all sets, in the order of policy.Sets.
func SetNames() []string {
	names := make([]string, len(policy.Sets))
	for i, set := range policy.Sets {
		names[i] = string(set)
	}
	return names
}

func example(set policy.Set) string {
	required, _ := policy.Fields(set)
	parts := make([]string, len(required))
	for i, key := range required {
		parts[i] = fmt.Sprintf("%q: …", key)
	}
	return strings.Join(parts, ", ")
}

func packageKind(name string) string {
	if name == maskPackage {
		return KindMask
	}
	parts := strings.Split(name, ".")
	if len(parts) == 3 && parts[0] == "reconcile" && slices.Contains([]string{KindRules, KindAfter, KindLib}, parts[1]) {
		return parts[1]
	}
	return ""
}

// PackageName returns the path of a package without the leading data.
func PackageName(path ast.Ref) string { return strings.TrimPrefix(path.String(), "data.") }

// CheckSettingRefs refuses a reference to a setting that does not exist. In Rego it is
// undefined, and a comprehension over it is the empty set: an allow-list that the
// operator did not set would be a list with nothing on it.
func CheckSettingRefs(sources []Source, settings map[string]any) Errors {
	var errs Errors
	for _, s := range sources {
		ast.WalkRefs(s.Module, func(ref ast.Ref) bool {
			if len(ref) < 3 || !ref.HasPrefix(SettingsRef) {
				return false
			}
			key, ok := ref[2].Value.(ast.String)
			if _, known := settings[string(key)]; known || !ok {
				return false
			}
			hint := "give it a value in data/settings.yaml or under settings: in the configuration"
			if near := suggest.Nearest(string(key), slices.Sorted(maps.Keys(settings))); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			errs = append(errs, at(ref[2].Location, "unknown_setting", "there is no setting %q: %s", string(key), hint))
			return false
		})
	}
	return errs
}

// SettingsRef is data.settings. Do not change it.
var SettingsRef = ast.MustParseRef("data.settings")

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
