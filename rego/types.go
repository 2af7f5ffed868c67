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

// checkTypes reports references to facts that do not exist, against the JSON
// Schema of the input document.
//
// OPA's own schema support knows no maps ("additionalProperties" with a schema is
// any), and profiles are a map. But its type checker knows maps that a
// comprehension makes. So the schema becomes a Rego document of that shape, and
// copies of the modules are compiled with input replaced by it.
func checkTypes(sources []source, schema json.RawMessage) Errors {
	document, err := typesModule(schema)
	if err != nil {
		return Errors{{File: "schema", Code: "schema_error", Message: err.Error()}}
	}
	modules := map[string]*ast.Module{"types": document}
	for _, s := range sources {
		c := s.module.Copy()
		replaceInput(c)
		modules[s.name] = c
	}
	compiler := newCompiler()
	compiler.Compile(modules)
	return fromOPA(compiler.Errors)
}

// replaceInput points every reference to input at the document of types.
func replaceInput(module *ast.Module) {
	prefix := ast.MustParseRef(typesPackage + ".document")
	ast.WalkTerms(module, func(t *ast.Term) bool {
		if ref, ok := t.Value.(ast.Ref); ok && ref[0].Equal(ast.InputRootDocument) {
			located := make(ast.Ref, 0, len(prefix)+len(ref)-1)
			for _, p := range prefix {
				located = append(located, &ast.Term{Value: p.Value, Location: ref[0].Location})
			}
			t.Value = append(located, ref[1:]...)
		}
		return false
	})
}

// typesModule writes the schema as a document with the same types.
func typesModule(schema json.RawMessage) (*ast.Module, error) {
	var root schemaNode
	if err := json.Unmarshal(schema, &root); err != nil {
		return nil, fmt.Errorf("schema of the input document: %w", err)
	}
	var b strings.Builder
	b.WriteString("package reconcile.types\n\ndocument := ")
	if err := root.write(&b); err != nil {
		return nil, err
	}
	module, err := ast.ParseModule("types", b.String())
	if err != nil {
		return nil, fmt.Errorf("schema of the input document: %w", err)
	}
	return module, nil
}

// schemaNode is the part of JSON Schema that fact schemas use.
type schemaNode struct {
	Type                 string                 `json:"type"`
	Properties           map[string]*schemaNode `json:"properties"`
	AdditionalProperties json.RawMessage        `json:"additionalProperties"`
	Items                *schemaNode            `json:"items"`
}

// write writes a Rego term of the type of the node. A node without a type may be
// anything; the type checker takes a value that comes from data for that.
func (n *schemaNode) write(b *strings.Builder) error {
	switch n.Type {
	case "string":
		b.WriteString(`""`)
	case "integer", "number":
		b.WriteString("0")
	case "boolean":
		b.WriteString("true")
	case "array":
		if n.Items == nil {
			b.WriteString("[v | v := data.anything[_]]")
			return nil
		}
		b.WriteString("[v | v := ")
		if err := n.Items.write(b); err != nil {
			return err
		}
		b.WriteString("]")
	case "object":
		return n.writeObject(b)
	case "":
		b.WriteString("data.anything")
	default:
		return fmt.Errorf("schema of the input document: unknown type %q", n.Type)
	}
	return nil
}

func (n *schemaNode) writeObject(b *strings.Builder) error {
	if len(n.Properties) > 0 {
		b.WriteString("{")
		for i, key := range slices.Sorted(maps.Keys(n.Properties)) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(strconv.Quote(key) + ": ")
			if err := n.Properties[key].write(b); err != nil {
				return err
			}
		}
		b.WriteString("}")
		return nil
	}
	var values schemaNode
	if len(n.AdditionalProperties) > 0 && string(n.AdditionalProperties) != "true" && string(n.AdditionalProperties) != "false" {
		if err := json.Unmarshal(n.AdditionalProperties, &values); err != nil {
			return fmt.Errorf("schema of the input document: additionalProperties: %w", err)
		}
	}
	b.WriteString(`{k: v | k := ""; v := `)
	if err := values.write(b); err != nil {
		return err
	}
	b.WriteString("}")
	return nil
}
