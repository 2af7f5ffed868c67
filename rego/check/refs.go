package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/example"
)

// inspectReferences finds references to rules and packages below data.reconcile that do
// not exist. In Rego they are undefined, which is not a mistake.
func (i *inspector) inspectReferences() {
	reported := map[string]bool{}
	ast.WalkRefs(i.Module, func(ref ast.Ref) bool {
		full := i.fullName(ref)
		if wrong := i.undefinedRule(full); wrong != "" && !reported[wrong] {
			reported[wrong] = true
			i.at(ref[0].Location, "undefined_rule", "%s", wrong)
		}
		return false
	})
}

// fullName replaces the name of an import in a reference by the path of the import.
func (i *inspector) fullName(ref ast.Ref) ast.Ref {
	head, ok := ref[0].Value.(ast.Var)
	if !ok {
		return ref
	}
	for _, imported := range i.Module.Imports {
		if path, ok := imported.Path.Value.(ast.Ref); ok && imported.Name() == head && path[0].Equal(ast.DefaultRootDocument) {
			return append(slices.Clone(path), ref[1:]...)
		}
	}
	return ref
}

// undefinedRule returns a sentence about what does not exist, or "".
func (i *inspector) undefinedRule(ref ast.Ref) string {
	parts := constantParts(ref)
	if len(parts) < 3 || parts[0] != "reconcile" || !slices.Contains([]string{rego.KindRules, rego.KindAfter, rego.KindLib}, parts[1]) || i.unparsed {
		return ""
	}
	names := map[string][]string{example.LibraryPackage: nil} // nil is not known
	for _, s := range slices.Concat(i.sources, i.tests) {
		pkg := s.Package()
		for _, rule := range s.Module.Rules {
			if name := rego.RuleName(rule); !slices.Contains(names[pkg], name) {
				names[pkg] = append(names[pkg], name)
			}
		}
	}
	for n := len(parts); n > 2; n-- {
		pkg := strings.Join(parts[:n], ".")
		rules, ok := names[pkg]
		if !ok {
			continue
		}
		if n == len(parts) || pkg == example.LibraryPackage || slices.Contains(rules, parts[n]) {
			return ""
		}
		return fmt.Sprintf("package %s has no rule %q%s", pkg, parts[n], suggest.Words(parts[n], rules))
	}
	asked := strings.Join(parts, ".")
	for pkg := range names {
		if strings.HasPrefix(pkg, asked+".") {
			return "" // what several packages have in common
		}
	}
	asked = strings.Join(parts[:3], ".")
	return fmt.Sprintf("there is no package %s%s", asked, suggest.Words(asked, sortedKeys(names)))
}

// constantParts returns the parts of a reference below data, up to the first that is not
// text.
func constantParts(ref ast.Ref) []string {
	if !ref[0].Equal(ast.DefaultRootDocument) {
		return nil
	}
	var parts []string
	for _, t := range ref[1:] {
		text, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		parts = append(parts, string(text))
	}
	return parts
}

// inspectSettings finds settings that a rule searches and that are not lists. In Rego
// such a search finds nothing.
func (i *inspector) inspectSettings(rule *ast.Rule) {
	domain := func(t *ast.Term) {
		if ref, ok := t.Value.(ast.Ref); ok && len(ref) == 3 {
			i.inspectCollection(ref)
		}
	}
	ast.WalkExprs(rule, func(e *ast.Expr) bool {
		switch terms := e.Terms.(type) {
		case *ast.SomeDecl:
			if call, ok := terms.Symbols[0].Value.(ast.Call); ok {
				domain(call[len(call)-1])
			}
		case *ast.Every:
			domain(terms.Domain)
		}
		return false
	})
	for _, call := range callsOf(rule) {
		if strings.HasPrefix(call[0].String(), "internal.member_") {
			domain(call[len(call)-1])
		}
	}
	ast.WalkRefs(rule, func(ref ast.Ref) bool {
		if len(ref) > 3 {
			i.inspectCollection(ref[:3])
		}
		return false
	})
}

// inspectCollection checks a setting that a rule searches.
func (i *inspector) inspectCollection(ref ast.Ref) {
	if !ref.HasPrefix(rego.SettingsRef) {
		return
	}
	key, _ := ref[2].Value.(ast.String)
	value, ok := i.settings[string(key)]
	if !ok {
		return
	}
	switch value.(type) {
	case []any, []string, map[string]any:
		return
	}
	f := Finding{Code: "setting_not_a_list", Message: fmt.Sprintf("setting %s is %s, and %s looks for something in it", string(key), writtenValue(value), rego.Place(ref[0].Location))}
	if f.File, f.Row = i.settingPlace(string(key)); f.Row == 0 && ref[0].Location != nil {
		f.File, f.Row = ref[0].Location.File, ref[0].Location.Row
	}
	f.Col = 1
	i.add(f)
}

func writtenValue(value any) string {
	if value == nil {
		return "empty"
	}
	return fmt.Sprintf("%#v", value)
}

// settingPlace returns where the last of the operator's directories sets a key.
func (c *checker) settingPlace(key string) (file string, row int) {
	for _, layer := range c.layers[1:] {
		name := path.Join(layer.Name, rego.SettingsFile)
		if at := c.places[name][key]; at > 0 {
			file, row = name, at
		}
	}
	return file, row
}
