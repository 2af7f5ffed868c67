package workbench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
)

// A Package describes a rule package.
type Package struct {
	Name        string       `json:"name"`
	Title       string       `json:"title"` // of its METADATA; may be empty
	Description string       `json:"description,omitempty"`
	Layer       string       `json:"layer"` // "built-in" or the operator's directory
	Stage       string       `json:"stage"` // rules, after or lib
	File        string       `json:"file"`
	Row         int          `json:"row"`
	Sets        []policy.Set `json:"sets"` // to which it contributes
	Off         bool         `json:"off"`  // settings.disabled_rules names it
	// Contributed counts the members by set. It is null if they were not counted (see Count),
	// and for a package that is switched off.
	Contributed map[policy.Set]int `json:"contributed"`
	Failures    []string           `json:"failures,omitempty"`
	Source      string             `json:"source,omitempty"` // the text of its file
}

// BuiltIn is the layer of the built-in rules.
const BuiltIn = "built-in"

// Packages describes the rule packages of the layers, also those that are switched off,
// in the order of layers and files.
func Packages(layers []rego.Layer, settings map[string]any) ([]Package, error) {
	rules, err := rego.ReadRules(layers, settings)
	if err != nil {
		return nil, err
	}
	enabled, err := rules.Enabled()
	if err != nil {
		return nil, err
	}
	var all []Package
	for _, s := range rules.Sources {
		p := describe(s)
		p.Layer = BuiltIn
		if s.Layer > 0 {
			p.Layer = layers[s.Layer].Name
		}
		p.Off = !slices.ContainsFunc(enabled, func(o rego.Source) bool { return o.Name == s.Name })
		all = append(all, p)
	}
	return all, nil
}

// Named returns the packages that have one of the names, which may be short, or all without
// a name.
func Named(packages []Package, names []string) ([]Package, error) {
	if len(names) == 0 {
		return packages, nil
	}
	var found []Package
	for _, name := range names {
		at := slices.IndexFunc(packages, func(p Package) bool { return isNamed(p.Name, name) })
		if at < 0 {
			return nil, unknownRule(name, packages)
		}
		found = append(found, packages[at])
	}
	return found, nil
}

// isNamed reports whether a name means a package: it is the whole name or its last part.
func isNamed(rule, name string) bool { return rule == name || strings.HasSuffix(rule, "."+name) }

func unknownRule(name string, packages []Package) error {
	var have []string
	for _, p := range packages {
		have = append(have, p.Name[strings.LastIndex(p.Name, ".")+1:])
	}
	return fmt.Errorf("no rule package is called %q%s", name, suggest.Words(name, have))
}

func describe(s rego.Source) Package {
	p := Package{
		Name: s.Package(), Stage: s.Kind(), Sets: []policy.Set{},
		File: s.Name, Row: s.Module.Package.Location.Row, Source: string(s.Text),
	}
	for _, set := range policy.Sets {
		if slices.ContainsFunc(s.Module.Rules, func(r *ast.Rule) bool { return rego.RuleName(r) == string(set) }) {
			p.Sets = append(p.Sets, set)
		}
	}
	annotated, _ := rego.Parse(1, s.Name, s.Text) // again: built-in rules are read without METADATA
	if a := annotated.Metadata(); a != nil {
		p.Title, p.Description = a.Title, a.Description
	}
	return p
}

// Count counts what each package contributed.
func Count(packages []Package, e policy.Evaluation) {
	byName := make(map[string]*Package, len(packages))
	for i := range packages {
		p := &packages[i]
		if !p.Off {
			p.Contributed = map[policy.Set]int{}
			byName[p.Name] = p
		}
	}
	for _, c := range e.Contributions {
		if p := byName[c.Rule]; p != nil {
			p.Contributed[c.Set]++
		}
	}
	for _, f := range e.Failures {
		if p := byName[f.Rule]; p != nil {
			p.Failures = append(p.Failures, strings.TrimPrefix(f.Location+": "+f.Error, ": "))
		}
	}
}
