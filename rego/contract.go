package rego

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
)

// The roots below which rule packages live: data.reconcile.<kind>.<name>.
const (
	kindRules = "rules"
	kindAfter = "after"
	kindLib   = "lib"
)

// checkContract asserts what a layer promises beyond being valid Rego: every
// package is new, has its place below data.reconcile, contributes to at least one
// set, and writes each set as a set.
func checkContract(sources []source) Errors {
	var errs Errors
	defined := map[string]source{}
	for _, s := range sources {
		pkg := s.module.Package
		kind, ok := packageKind(pkg.Path)
		if !ok {
			errs = append(errs, at(pkg.Location, "package_place",
				"package %s has no place here, want reconcile.rules.<name>, reconcile.after.<name> or reconcile.lib.<name>", packageName(pkg.Path)))
			continue
		}
		name := packageName(pkg.Path)
		if first, twice := defined[name]; twice {
			errs = append(errs, at(pkg.Location, "package_redefined",
				"package %s is already defined in %s; a directory adds packages, it does not change them (a built-in one is switched off by settings.disabled_rules)", name, first.name))
			continue
		}
		defined[name] = s
		if kind != kindLib {
			errs = append(errs, checkSets(s)...)
		}
	}
	return errs
}

// checkSets refuses a set that is written as something else: the engine would
// look for members and find none, without a word.
func checkSets(s source) Errors {
	var errs Errors
	contributes := false
	for _, rule := range s.module.Rules {
		name := ruleName(rule)
		if !isSet(name) {
			continue
		}
		contributes = true
		if !isMultiValue(rule) {
			errs = append(errs, at(rule.Location, "set_expected",
				"%s is a set to which rules contribute, write: %s contains {%s} if …", name, name, example(policy.Set(name))))
		}
	}
	if !contributes {
		errs = append(errs, at(s.module.Package.Location, "contributes_nothing",
			"package %s contributes to no set, have %s (a package of helpers belongs to reconcile.lib.<name>)", packageName(s.module.Package.Path), setNames()))
	}
	return errs
}

func isMultiValue(rule *ast.Rule) bool {
	return rule.Head.RuleKind() == ast.MultiValue && len(rule.Head.Ref()) == 1 && len(rule.Head.Args) == 0
}

func ruleName(rule *ast.Rule) string {
	if v, ok := rule.Head.Ref()[0].Value.(ast.Var); ok {
		return string(v)
	}
	return ""
}

func isSet(name string) bool {
	for _, set := range policy.Sets {
		if string(set) == name {
			return true
		}
	}
	return false
}

func setNames() string {
	names := make([]string, len(policy.Sets))
	for i, set := range policy.Sets {
		names[i] = string(set)
	}
	return strings.Join(names, ", ")
}

func example(set policy.Set) string {
	required, _ := policy.Fields(set)
	parts := make([]string, len(required))
	for i, key := range required {
		parts[i] = fmt.Sprintf("%q: …", key)
	}
	return strings.Join(parts, ", ")
}

// packageKind returns the kind of a package that stands where it should.
func packageKind(path ast.Ref) (string, bool) {
	parts := strings.Split(packageName(path), ".")
	if len(parts) != 3 || parts[0] != "reconcile" {
		return "", false
	}
	switch parts[1] {
	case kindRules, kindAfter, kindLib:
		return parts[1], true
	}
	return "", false
}

// packageName is the path without the leading data.
func packageName(path ast.Ref) string {
	return strings.TrimPrefix(path.String(), "data.")
}

// checkSettingRefs refuses a reference to a setting that does not exist. Rego
// would take it for undefined, and a comprehension over it for the empty set: an
// allow-list that nobody set would become a list with nobody on it.
func checkSettingRefs(sources []source, settings map[string]any) Errors {
	known := make([]string, 0, len(settings))
	for key := range settings {
		known = append(known, key)
	}
	var errs Errors
	for _, s := range sources {
		ast.WalkRefs(s.module, func(ref ast.Ref) bool {
			if e := checkSettingRef(ref, settings, known); e != nil {
				errs = append(errs, e)
			}
			return false
		})
	}
	return errs
}

func checkSettingRef(ref ast.Ref, settings map[string]any, known []string) *Error {
	if len(ref) < 3 || !ref.HasPrefix(settingsRef) {
		return nil
	}
	key, ok := ref[2].Value.(ast.String)
	if !ok {
		return nil
	}
	if _, ok := settings[string(key)]; ok {
		return nil
	}
	hint := "give it a value in data/settings.yaml or under settings: in the configuration"
	if near := nearest(string(key), known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return at(ref[2].Location, "unknown_setting", "there is no setting %q: %s", string(key), hint)
}

var settingsRef = ast.MustParseRef("data.settings")
