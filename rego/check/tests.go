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
	subject := strings.TrimSuffix(own, "_test")
	path := ast.MustParseRef("data." + subject)
	i.withoutInput(path)
	switch {
	case tests == 0:
		i.at(i.Module.Package.Location, "test_empty", "package %s has no rule whose name begins with %s", own, tester.TestPrefix)
	case !i.isRulePackage(subject):
		i.at(i.Module.Package.Location, "test_package", "there is no rule package %s%s", subject, suggest.Words(subject, i.rulePackages(1)))
	case subject != own && !slices.ContainsFunc(i.Module.Rules, func(rule *ast.Rule) bool { return refersTo(rule, path) }):
		i.at(i.Module.Package.Location, "test_refers_nothing", "no test refers to data.%s", subject)
	}
}

// withoutInput finds a test that reads input, or asks for members of a set of its package, and
// puts nothing in the place of input, neither itself nor in a rule that it refers to.
func (i *inspector) withoutInput(subject ast.Ref) {
	for _, test := range i.Module.Rules {
		name := rego.RuleName(test)
		if !strings.HasPrefix(name, tester.TestPrefix) {
			continue
		}
		asks, gives := false, false
		for _, rule := range i.Module.Rules {
			if rule != test && !refersTo(test, i.Module.Package.Path.Append(ast.StringTerm(rego.RuleName(rule)))) {
				continue
			}
			asks = asks || refersTo(rule, ast.InputRootRef) || slices.ContainsFunc(rego.SetNames(), func(set string) bool {
				return refersTo(rule, subject.Append(ast.StringTerm(set)))
			})
			ast.WalkWiths(rule, func(w *ast.With) bool {
				target, ok := w.Target.Value.(ast.Ref)
				gives = gives || ok && target.HasPrefix(ast.InputRootRef)
				return false
			})
		}
		if asks && !gives {
			i.at(test.Location, "test_without_input", "%s asks the rules or reads input, and no input is given", name)
		}
	}
}

func refersTo(rule *ast.Rule, path ast.Ref) (found bool) {
	ast.WalkRefs(rule, func(ref ast.Ref) bool {
		found = found || ref.HasPrefix(path)
		return false
	})
	return found
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
