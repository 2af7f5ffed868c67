package check

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

// inspect finds mistakes in the operator's rules and tests that the compiler accepts.
func (c *checker) inspect() {
	all, _ := rego.Resolved(slices.Concat(c.rules.Sources, c.tests))
	c.packages = map[string][]string{example.LibraryPackage: nil}
	for _, s := range all {
		for _, rule := range s.Module.Rules {
			c.packages[s.Package()] = append(c.packages[s.Package()], rego.RuleName(rule))
			ast.WalkRefs(rule, func(ref ast.Ref) bool {
				c.references = append(c.references, reference{s, ref})
				return false
			})
		}
	}
	var schema *rego.Schema
	if c.options.Schema != nil {
		err := json.Unmarshal(c.options.Schema, &schema)
		schema = rego.CompiledIn(schema, err)
	}
	for n, s := range all {
		i := &inspector{checker: c, Source: s, schema: schema, isTest: n >= len(c.rules.Sources), missing: map[string]bool{}}
		if s.Layer > 0 && s.Package() != example.LibraryPackage {
			i.module()
		}
	}
}

// A reference is one that a rule of the source makes.
type reference struct {
	rego.Source
	ref ast.Ref
}

// An inspector checks one file. It walks every rule once and hands each node to the
// checks of that kind of node.
type inspector struct {
	*checker
	rego.Source
	schema  *rego.Schema // of input; nil if unknown
	isTest  bool
	missing map[string]bool // rules and packages that were reported

	rule  *ast.Rule // the present one
	scope rego.Scope
}

func (i *inspector) at(location *ast.Location, code, format string, args ...any) {
	f := Finding{Code: code, Message: fmt.Sprintf(format, args...)}
	if location != nil {
		f.File, f.Row, f.Col = location.File, location.Row, location.Col
	}
	i.add(f)
}

func (i *inspector) module() {
	for _, imported := range i.Module.Imports {
		if path, ok := imported.Path.Value.(ast.Ref); ok {
			i.exists(path, imported.Location)
		}
	}
	for _, rule := range i.Module.Rules {
		i.rule, i.scope = rule, rego.NewScope(rule, nil)
		if !i.isTest && i.Kind() != rego.KindLib && i.Kind() != rego.KindMask {
			i.head()
		}
		ast.NewGenericVisitor(func(node any) bool {
			i.node(node)
			return false
		}).Walk(rule)
	}
	if i.isTest {
		i.test()
	}
}

// node hands one node of the present rule to its checks.
func (i *inspector) node(node any) {
	if ref, ok := node.(ast.Ref); ok {
		i.exists(ref, ref[0].Location)
	}
	call := callOf(node)
	if i.isTest {
		if with, ok := node.(*ast.With); ok {
			i.with(with)
		}
		i.exampleFacts(call)
		return
	}
	switch node := node.(type) {
	case ast.Ref:
		i.decisions(node)
		if f, ok := i.resolve(ast.NewTerm(node)); ok && f.unknown != nil && f.in.KeyNames != nil { // else the compiler says it
			i.unknownKey(f, "never_collected")
		}
		if len(node) > 3 {
			i.searched(ast.NewTerm(node[:3]))
		}
	case *ast.Every:
		i.searched(node.Domain)
	case ast.Body:
		for _, e := range node {
			i.emptiness(e, node)
		}
	}
	if call != nil {
		i.call(call)
	}
}

// callOf returns the operator and the operands of a node that is a call, or nil.
func callOf(node any) []*ast.Term {
	switch node := node.(type) {
	case *ast.Expr:
		if terms, ok := node.Terms.([]*ast.Term); ok && node.IsCall() {
			return terms
		}
	case *ast.Term:
		if call, ok := node.Value.(ast.Call); ok {
			return call
		}
	}
	return nil
}

// eachCall hands every call below a node to do.
func eachCall(node any, do func(call []*ast.Term)) {
	ast.NewGenericVisitor(func(x any) bool {
		if call := callOf(x); call != nil {
			do(call)
		}
		return false
	}).Walk(node)
}

// head checks the name of the rule and the member that it adds.
func (i *inspector) head() {
	name := rego.RuleName(i.rule)
	if !rego.IsSet(name) {
		i.name(name)
		return
	}
	if rego.IsMultiValue(i.rule) {
		i.member(policy.Set(name), i.rule.Head.Key)
		i.restsOnAgent(policy.Set(name))
	}
	if i.rule.Else != nil {
		i.at(i.rule.Else.Location, "set_expected", "a rule of a set has no else")
	}
}

// name finds a rule that was meant to contribute: its name is near that of a set, and
// no rule refers to it.
func (i *inspector) name(name string) {
	meant := suggest.Nearest(strings.ToLower(name), rego.SetNames())
	if meant == "" || len(name) < 3 || strings.HasPrefix(name, "_") || len(i.rule.Head.Args) > 0 {
		return
	}
	full := i.Module.Package.Path.String() + "." + name
	if !slices.ContainsFunc(i.references, func(r reference) bool { return strings.HasPrefix(r.ref.String(), full) }) {
		i.at(i.rule.Head.Location, "misspelt_set", "%q is not a set, and nothing refers to it; did you mean %q?", name, meant)
	}
}

// exists finds a reference to a rule or package below data.reconcile that does not
// exist. In Rego the reference is undefined, which is not a mistake.
func (i *inspector) exists(ref ast.Ref, place *ast.Location) {
	if wrong := i.undefinedRule(ref); wrong != "" && !i.missing[wrong] {
		i.missing[wrong] = true
		i.at(place, "undefined_rule", "%s", wrong)
	}
}

// undefinedRule returns a sentence about the rule or package that does not exist, or "". A
// package is reconcile.<kind>.<name>.
func (i *inspector) undefinedRule(ref ast.Ref) string {
	ref = ref.StringPrefix()
	if len(ref) < 4 || !ref.HasPrefix(ast.DefaultRootRef) || !ref[1].Equal(ast.StringTerm("reconcile")) || i.unparsed {
		return ""
	}
	pkg := rego.PackageName(ref[:4])
	rules, known := i.packages[pkg]
	if !known {
		have := slices.DeleteFunc(sortedKeys(i.packages), func(pkg string) bool { return strings.HasSuffix(pkg, "_test") })
		return fmt.Sprintf("there is no package %s%s", pkg, suggest.Words(pkg, have))
	}
	if len(ref) == 4 || pkg == example.LibraryPackage {
		return ""
	}
	rule, _ := ref[4].Value.(ast.String)
	if slices.Contains(rules, string(rule)) {
		return ""
	}
	return fmt.Sprintf("package %s has no rule %q%s", pkg, string(rule), suggest.Words(string(rule), slices.Compact(slices.Sorted(slices.Values(rules)))))
}

// decisions finds the use of decisions before they exist.
func (i *inspector) decisions(ref ast.Ref) {
	if i.Kind() == rego.KindRules && len(ref) > 1 && ref[0].Equal(ast.InputRootDocument) && ref[1].Equal(ast.StringTerm("decisions")) {
		i.at(ref[0].Location, "decisions_too_early", "there are no input.decisions yet when packages of reconcile.rules run")
	}
}

// searched checks a setting in which the rule searches. If the setting is not a list or
// object, Rego finds nothing and reports nothing.
func (i *inspector) searched(domain *ast.Term) {
	ref, ok := domain.Value.(ast.Ref)
	if !ok || len(ref) != 3 || !ref.HasPrefix(rego.SettingsRef) {
		return
	}
	key, _ := ref[2].Value.(ast.String)
	value, ok := i.rules.Settings[string(key)]
	switch value.(type) {
	case []any, map[string]any:
		return
	}
	if !ok {
		return
	}
	file, row := i.rules.Place(string(key))
	if l := ref[0].Location; row == 0 && l != nil {
		file, row = l.File, l.Row
	}
	text, _ := json.Marshal(value) // it was read from JSON or YAML
	i.add(Finding{File: file, Row: row, Col: 1, Code: "setting_not_a_list",
		Message: fmt.Sprintf("setting %s is %s, and %s looks for something in it", string(key), cmp.Or(strings.TrimPrefix(string(text), "null"), "empty"), rego.Place(ref[0].Location))})
}
