package check

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"

	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

// inspectTest finds tests that pass whatever the rules do.
func (i *inspector) inspectTest() {
	own := i.Package()
	if own == example.LibraryPackage {
		return
	}
	tests := 0
	for _, rule := range i.Module.Rules {
		name := rego.RuleName(rule)
		switch {
		case strings.HasPrefix(name, tester.TestPrefix), strings.HasPrefix(name, tester.SkipTestPrefix):
			tests++
		case strings.HasPrefix(strings.ToLower(name), "test") && len(rule.Head.Args) == 0:
			i.at(rule.Location, "test_name", "%q is not run as a test", name)
		}
		i.inspectWith(rule)
		i.inspectExample(rule)
	}
	i.inspectReferences()
	subject := strings.TrimSuffix(own, "_test")
	switch {
	case tests == 0:
		i.at(i.Module.Package.Location, "test_empty", "package %s has no rule whose name begins with %s", own, tester.TestPrefix)
	case !i.packages[subject]:
		i.at(i.Module.Package.Location, "test_package", "there is no rule package %s%s", subject, suggest.Words(subject, i.ownPackages()))
	case subject != own && !i.mentions(subject):
		i.at(i.Module.Package.Location, "test_refers_nothing", "no test refers to data.%s", subject)
	}
}

func (i *inspector) ownPackages() []string {
	var names []string
	for _, s := range i.sources {
		if s.Layer > 0 {
			names = append(names, s.Package())
		}
	}
	return names
}

// mentions reports whether a rule of the file uses a package, by its full name or by the
// name of an import.
func (i *inspector) mentions(subject string) bool {
	names := map[string]bool{}
	for _, imported := range i.Module.Imports {
		if strings.HasPrefix(imported.Path.String()+".", "data."+subject+".") {
			names[string(imported.Name())] = true
		}
	}
	found := false
	for _, rule := range i.Module.Rules {
		ast.WalkRefs(rule, func(ref ast.Ref) bool {
			head, _ := ref[0].Value.(ast.Var)
			found = found || names[string(head)] || strings.HasPrefix(ref.String()+".", "data."+subject+".")
			return found
		})
		ast.WalkVars(rule.Body, func(v ast.Var) bool {
			found = found || names[string(v)]
			return found
		})
	}
	return found
}

// inspectWith checks what a test puts in the place of input. The compiler does not, and
// with a misspelt fact the test would test nothing.
func (i *inspector) inspectWith(rule *ast.Rule) {
	if i.schema == nil {
		return
	}
	ast.WalkWiths(rule, func(w *ast.With) bool {
		ref, ok := w.Target.Value.(ast.Ref)
		if !ok || !ref[0].Equal(ast.InputRootDocument) {
			return false
		}
		node := i.schema
		for at, t := range ref[1:] {
			key := "*"
			if s, ok := t.Value.(ast.String); ok {
				key = string(s)
			}
			if !node.Allows(key) {
				i.at(ref[at+1].Location, "test_unknown_fact", "there is no %s%s", ref[:at+2], suggest.Words(key, sortedKeys(node.Properties)))
				return false
			}
			node = node.Below(key)
		}
		i.inspectLiteral(node, ref.String(), w.Value)
		return false
	})
}

// inspectExample checks the facts that a test passes to the library of example facts.
func (i *inspector) inspectExample(rule *ast.Rule) {
	profiles, container := i.schema.Below("profiles"), i.schema.Below("container")
	arguments := map[string][]*rego.Schema{
		"home": {profiles}, "situation": {container, profiles}, "profile": {profiles.Below("*")}, "container": {container},
	}
	for _, call := range callsOf(rule) {
		ref, ok := call[0].Value.(ast.Ref)
		if !ok {
			continue
		}
		name, ok := strings.CutPrefix(i.fullName(ref).String(), "data."+example.LibraryPackage+".")
		for at, node := range arguments[name] {
			if ok && at+1 < len(call) {
				i.inspectLiteral(node, fmt.Sprintf("argument %d of %s", at+1, name), call[at+1])
			}
		}
	}
}

// inspectLiteral compares the keys of a literal with the schema.
func (i *inspector) inspectLiteral(node *rego.Schema, path string, t *ast.Term) {
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
			i.at(k.Location, "test_unknown_fact", "%s has no %q%s", path, string(key), suggest.Words(string(key), sortedKeys(node.Properties)))
			return
		}
		i.inspectLiteral(node.Below(string(key)), path+"."+string(key), v)
	})
}
