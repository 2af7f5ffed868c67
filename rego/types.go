package rego

import (
	"encoding/json"
	"fmt"
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
	document, err := typesModule(schema)
	if err != nil {
		return Errors{{File: "schema", Code: "schema_error", Message: fmt.Sprintf("schema of the input document: %v", err)}}
	}
	modules := map[string]*ast.Module{"types": document}
	for _, s := range sources {
		c := s.Module.Copy()
		replaceInput(c)
		modules[s.Name] = c
	}
	compiler := NewCompiler()
	compiler.Compile(modules)
	return FromOPA(compiler.Errors)
}

// replaceInput makes every reference to input, also by the name of an import, a reference to
// the document of types. The compiler would give all uses of such a name one location, that
// of the last use.
func replaceInput(module *ast.Module) {
	document := ast.MustParseRef(typesPackage + ".document")
	paths := map[ast.Var]ast.Ref{ast.InputRootDocument.Value.(ast.Var): document}
	module.Imports = slices.DeleteFunc(module.Imports, func(i *ast.Import) bool {
		path, ok := i.Path.Value.(ast.Ref)
		below := ok && len(path) > 1 && path[0].Equal(ast.InputRootDocument)
		if below {
			paths[i.Name()] = document.Concat(path[1:])
		}
		return below
	})
	writtenOut := func(t *ast.Term) ast.Ref {
		name, _ := t.Value.(ast.Var)
		ref := make(ast.Ref, 0, len(paths[name]))
		for _, p := range paths[name] {
			ref = append(ref, &ast.Term{Value: p.Value, Location: t.Location})
		}
		return ref
	}
	ast.WalkTerms(module, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.Ref:
			if full := writtenOut(v[0]); len(full) > 0 {
				t.Value = append(full, v[1:]...)
			}
			for _, part := range v[1:] {
				if full := writtenOut(part); len(full) > 0 {
					part.Value = full
				}
			}
		case ast.Var:
			if full := writtenOut(t); len(full) > 0 {
				t.Value = full
			}
		}
		return false
	})
}

// typesModule writes the schema as a document with the same types.
func typesModule(schema json.RawMessage) (*ast.Module, error) {
	var root Schema
	if err := json.Unmarshal(schema, &root); err != nil {
		return nil, err
	}
	text, err := root.example()
	if err != nil {
		return nil, err
	}
	return ast.ParseModule("types", "package reconcile.types\n\ndocument := "+text)
}

// anything is a term that the type checker accepts as any type.
const anything = "data.anything"

// example returns a Rego term that has the type of the schema.
func (s *Schema) example() (string, error) {
	if s == nil || s.boolean != nil {
		return anything, nil
	}
	switch s.Type {
	case "":
		return anything, nil
	case "string":
		return `""`, nil
	case "integer", "number":
		return "0", nil
	case "boolean":
		return "true", nil
	case "array":
		if s.Items == nil {
			return "[v | v := " + anything + "[_]]", nil
		}
		item, err := s.Items.example()
		return "[v | v := " + item + "]", err
	case "object":
		return s.objectExample()
	}
	return "", fmt.Errorf("unknown type %q", s.Type)
}

func (s *Schema) objectExample() (string, error) {
	if len(s.Properties) == 0 {
		value, err := s.values().example()
		return `{k: v | k := ""; v := ` + value + "}", err
	}
	parts := make([]string, 0, len(s.Properties))
	for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
		value, err := s.Properties[key].example()
		if err != nil {
			return "", err
		}
		parts = append(parts, strconv.Quote(key)+": "+value)
	}
	return "{" + strings.Join(parts, ", ") + "}", nil
}
