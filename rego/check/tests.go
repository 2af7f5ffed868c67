package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"

	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

// test finds tests that pass whatever the rules do.
func (i *inspector) test() {
	tests := 0
	for _, rule := range i.Module.Rules {
		name := rego.RuleName(rule)
		switch {
		case strings.HasPrefix(name, tester.TestPrefix), strings.HasPrefix(name, tester.SkipTestPrefix):
			tests++
		case strings.HasPrefix(strings.ToLower(name), "test") && len(rule.Head.Args) == 0:
			i.at(rule.Location, "test_name", "%q is not run as a test", name)
		}
	}
	own := i.Package()
	defer func() { i.withoutInput(ast.MustParseRef("data." + strings.TrimSuffix(own, "_test"))) }()
	subject := strings.TrimSuffix(own, "_test")
	path := ast.MustParseRef("data." + subject)
	refers := func(r reference) bool { return r.Name == i.Name && r.ref.HasPrefix(path) }
	switch {
	case tests == 0:
		i.at(i.Module.Package.Location, "test_empty", "package %s has no rule whose name begins with %s", own, tester.TestPrefix)
	case !i.isRulePackage(subject):
		i.at(i.Module.Package.Location, "test_package", "there is no rule package %s%s", subject, suggest.Words(subject, i.rulePackages(1)))
	case subject != own && !slices.ContainsFunc(i.references, refers):
		i.at(i.Module.Package.Location, "test_refers_nothing", "no test refers to data.%s", subject)
	}
}

// withoutInput finds a test that reads input, or asks for members of a set of its package, and
// puts nothing in the place of input, neither itself nor in a rule that it refers to.
func (i *inspector) withoutInput(subject ast.Ref) {
	own := i.Module.Package.Path
	type use struct{ asks, gives bool }
	uses, below := map[string]use{}, map[string][]string{}
	for _, rule := range i.Module.Rules {
		name := rego.RuleName(rule)
		u := uses[name]
		ast.WalkRefs(rule, func(ref ast.Ref) bool {
			if ref.HasPrefix(subject) && len(ref) > len(subject) {
				set, _ := ref[len(subject)].Value.(ast.String)
				u.asks = u.asks || rego.IsSet(string(set))
			}
			u.asks = u.asks || ref[0].Equal(ast.InputRootDocument)
			if ref.HasPrefix(own) && len(ref) > len(own) {
				helper, _ := ref[len(own)].Value.(ast.String)
				below[name] = append(below[name], string(helper))
			}
			return false
		})
		ast.WalkWiths(rule, func(w *ast.With) bool {
			target, ok := w.Target.Value.(ast.Ref)
			u.gives = u.gives || ok && target[0].Equal(ast.InputRootDocument)
			return false
		})
		uses[name] = u
	}
	for _, rule := range i.Module.Rules {
		name := rego.RuleName(rule)
		u := uses[name]
		for _, helper := range below[name] {
			u.asks, u.gives = u.asks || uses[helper].asks, u.gives || uses[helper].gives
		}
		if strings.HasPrefix(name, tester.TestPrefix) && u.asks && !u.gives {
			i.at(rule.Location, "test_without_input", "%s asks the rules or reads input, and no input is given", name)
		}
	}
}

// with checks what a test puts in the place of input. The compiler does not, and with a
// misspelt fact the test would test nothing.
func (i *inspector) with(w *ast.With) {
	if f, ok := i.resolve(w.Target); ok && f.unknown != nil {
		i.unknownKey(f, "test_unknown_fact")
	} else if ok {
		i.literal(f.node, f.String(), w.Value)
	}
}

// exampleFacts checks the facts that a test passes to the library of example facts.
func (i *inspector) exampleFacts(call []*ast.Term) {
	if len(call) == 0 {
		return
	}
	name, ok := strings.CutPrefix(call[0].String(), "data."+example.LibraryPackage+".")
	if !ok {
		return
	}
	profiles, container := i.schema.Below("profiles"), i.schema.Below("container")
	arguments := map[string][]*rego.Schema{
		"home": {profiles}, "situation": {container, profiles}, "profile": {profiles.Below("*")}, "container": {container},
	}
	for at, node := range arguments[name] {
		if at+1 < len(call) {
			i.literal(node, fmt.Sprintf("argument %d of %s", at+1, name), call[at+1])
		}
	}
}

// literal compares the keys of a literal with the schema.
func (i *inspector) literal(node *rego.Schema, path string, t *ast.Term) {
	object, ok := t.Value.(ast.Object)
	if !ok || node == nil {
		return
	}
	object.Foreach(func(k, v *ast.Term) {
		key, ok := k.Value.(ast.String)
		if !ok {
			return
		}
		if !node.Allows(string(key)) {
			i.at(k.Location, "test_unknown_fact", "%s has no %q%s", path, string(key), suggest.Words(string(key), node.Keys()))
			return
		}
		i.literal(node.Below(string(key)), path+"."+string(key), v)
	})
}
