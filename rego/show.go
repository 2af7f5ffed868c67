package rego

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
)

// A Package is what there is to say of a rule package without running it.
type Package struct {
	Name        string       `json:"name"`
	Title       string       `json:"title"` // of its METADATA; may be empty
	Description string       `json:"description,omitempty"`
	Layer       string       `json:"layer"` // "built-in" or the operator's directory
	Stage       string       `json:"stage"` // rules, after or lib
	File        string       `json:"file"`
	Row         int          `json:"row"`
	Sets        []policy.Set `json:"sets"` // to which it contributes
	// Off says that settings.disabled_rules names it.
	Off bool `json:"off"`
}

// Packages describes the rule packages of the layers in the order of the layers,
// then of their files, those that are switched off too.
func Packages(layers []Layer, operator map[string]any) ([]Package, error) {
	read, err := readLayers(layers, operator)
	if err != nil {
		return nil, err
	}
	on, err := switchOff(slices.Clone(read.sources), read.settings)
	if err != nil {
		return nil, err
	}
	var all []Package
	for _, s := range read.sources {
		p := describe(s)
		p.Layer = "built-in"
		if s.layer > 0 {
			p.Layer = layers[s.layer].Name
		}
		p.Off = !slices.ContainsFunc(on, func(o source) bool { return o.name == s.name })
		all = append(all, p)
	}
	return all, nil
}

func describe(s source) Package {
	kind, _ := packageKind(s.module.Package.Path)
	p := Package{
		Name: packageName(s.module.Package.Path), Stage: kind, Sets: []policy.Set{},
		File: s.name, Row: s.module.Package.Location.Row,
	}
	for _, set := range policy.Sets {
		if slices.ContainsFunc(s.module.Rules, func(r *ast.Rule) bool { return ruleName(r) == string(set) }) {
			p.Sets = append(p.Sets, set)
		}
	}
	annotated, err := ast.ParseModuleWithOpts(s.name, string(s.text), ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true})
	if err != nil {
		return p
	}
	for _, a := range annotated.Annotations {
		if a.Scope == "package" {
			p.Title, p.Description = a.Title, a.Description
		}
	}
	return p
}
