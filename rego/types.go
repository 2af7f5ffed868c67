package rego

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// typesPackage holds a document of the shape of input, for the type checker.
const typesPackage = "data.reconcile.types"

// checkTypes reports references to facts that do not exist, against the JSON Schema of
// the input document.
//
// OPA's own schema support does not know maps: an object with a schema for
// "additionalProperties" may have any value, and input.profiles is a map. OPA's type
// checker does know the type of a map that a comprehension makes. So checkTypes writes
// the schema as a Rego document of that shape, and compiles copies of the modules with
// input replaced by that document.
func checkTypes(sources []Source, schema json.RawMessage) Errors {
	resolved, errs := Resolved(sources)
	if len(errs) > 0 {
		return errs
	}
	modules := map[string]*ast.Module{"types": typesModule(schema)}
	for _, s := range resolved {
		if s.Kind() != KindMask { // whose input is an event
			replaceInput(s.Module)
		}
		modules[s.Name] = s.Module
	}
	compiler := NewCompiler()
	compiler.Compile(modules)
	return FromOPA(compiler.Errors)
}

// Resolved returns copies in which every reference is complete: the compiler replaces the
// names of imports, and of rules of the same package, by their paths. It gives all uses of an
// import the place of the last use, so Resolved gives each its own.
func Resolved(sources []Source) ([]Source, Errors) {
	modules := map[string]*ast.Module{}
	for _, s := range sources {
		modules[s.Name] = s.Module
	}
	compiler := NewCompiler().WithOnlyStagesUpTo(ast.StageResolveRefs)
	compiler.Compile(modules)
	resolved := slices.Clone(sources)
	for i, s := range resolved {
		resolved[i].Module = compiler.Modules[s.Name]
		eachRef(resolved[i].Module, func(t *ast.Term, ref ast.Ref) {
			for n, shared := 0, ref[0].Location; n < len(ref) && t.Location != nil; n++ {
				if ref[n].Location == shared {
					ref[n] = &ast.Term{Value: ref[n].Value, Location: t.Location}
				}
			}
		})
	}
	return resolved, FromOPA(compiler.Errors)
}

func eachRef(module *ast.Module, do func(*ast.Term, ast.Ref)) {
	ast.WalkTerms(module, func(t *ast.Term) bool {
		if ref, ok := t.Value.(ast.Ref); ok {
			do(t, ref)
		}
		return false
	})
}

// replaceInput makes every reference to input of a resolved module one to the document of
// types.
func replaceInput(module *ast.Module) {
	document := ast.MustParseRef(typesPackage + ".document")
	module.Imports = nil // nothing uses them
	eachRef(module, func(t *ast.Term, ref ast.Ref) {
		if !ref[0].Equal(ast.InputRootDocument) {
			return
		}
		full := make(ast.Ref, 0, len(document)+len(ref))
		for _, p := range document {
			full = append(full, &ast.Term{Value: p.Value, Location: t.Location})
		}
		t.Value = append(full, ref[1:]...)
	})
}

// typesModule writes the schema as a document with the same types.
func typesModule(schema json.RawMessage) *ast.Module {
	root := &Schema{}
	err := json.Unmarshal(schema, root)
	return CompiledIn(ast.ParseModule("types", "package reconcile.types\n\ndocument := "+CompiledIn(root, err).example()))
}

// anything is a term that the type checker accepts as any type.
const anything = "data.anything"

// example returns a Rego term that has the type of the schema.
func (s *Schema) example() string {
	if s == nil || s.boolean != nil {
		return anything
	}
	switch s.Type {
	case "string":
		return `""`
	case "integer", "number":
		return "0"
	case "boolean":
		return "true"
	case "array":
		if s.Items == nil {
			return "[v | v := " + anything + "[_]]"
		}
		return "[v | v := " + s.Items.example() + "]"
	case "object":
		return s.objectExample()
	}
	return anything
}

func (s *Schema) objectExample() string {
	if len(s.Properties) == 0 {
		return `{k: v | k := ""; v := ` + s.values().example() + "}"
	}
	parts := make([]string, 0, len(s.Properties))
	for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
		parts = append(parts, strconv.Quote(key)+": "+s.Properties[key].example())
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
