package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"

	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/engine/facts/fact"
	"hermes-reconcile/policy"
)

// policy/input.schema.json is made from the fact sources and from testdata/input.schema.json,
// which has the rest of the document:
// `go test ./cmd/hermes-reconcile -run SchemaFiles -update` writes it.
func TestInputSchemaFiles(t *testing.T) {
	t.Parallel()
	upToDate(t, "../../policy/input.schema.json", inputSchema(t))
}

func inputSchema(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/input.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root schema
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	properties := root["properties"].(map[string]any)
	container := properties["container"].(map[string]any)["properties"].(map[string]any)
	profile := properties["profiles"].(map[string]any)["additionalProperties"].(map[string]any)["properties"].(map[string]any)
	ofContainer, ofProfile := world.AllSources()
	for _, s := range ofContainer {
		addFact(t, container, s.Declaration)
	}
	for _, s := range ofProfile {
		addFact(t, profile, s.Declaration)
	}
	if text, err = json.MarshalIndent(root, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// addFact adds the schema of one source, with the properties that every fact may have.
func addFact(t *testing.T, to map[string]any, d fact.Declaration) {
	t.Helper()
	if _, twice := to[d.Name()]; twice {
		t.Errorf("two sources are called %q", d.Name())
	}
	var s schema
	if d.Of == nil {
		if err := json.Unmarshal([]byte(d.Own), &s); err != nil {
			t.Fatalf("schema of source %s: %v", d.Name(), err)
		}
	} else {
		s = schemaOf(d.Of, d.By, "")
		s["description"] = d.About
	}
	to[d.Name()] = s
	if _, isMap := s["additionalProperties"].(map[string]any); isMap {
		return // its values have one schema, that of status too
	}
	properties := schema{
		"status": schema{"type": "string", "description": "how the collection went"},
		"error":  schema{"type": "string", "description": "what went wrong; absent when nothing did"},
	}
	switch own := s["properties"].(type) {
	case schema:
		maps.Copy(properties, own)
	case map[string]any:
		maps.Copy(properties, own)
	}
	s["type"], s["properties"] = "object", properties
	to[d.Name()] = s
}

// schema is a JSON Schema, or a part of one.
type schema map[string]any

// schemaOf derives the JSON Schema of a value from its Go type and its tags, see
// fact.Declaration.
func schemaOf(t reflect.Type, by fact.Writer, tag reflect.StructTag) schema {
	s := schema{"description": tag.Get("about"), "x-written-by": by}
	about, deeper, _ := strings.Cut(tag.Get("of"), "|")
	of := reflect.StructTag(fmt.Sprintf(`about:%q of:%q`, about, deeper))
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), by, tag)
	case reflect.String:
		s["type"] = "string"
		if words, ok := tag.Lookup("words"); ok {
			s["enum"] = strings.Split(words, ",")
		}
		if tag.Get("words") == "status" {
			s["enum"] = statuses
		}
	case reflect.Bool:
		s["type"] = "boolean"
	case reflect.Float64:
		s["type"] = "number"
	case reflect.Slice:
		if t == reflect.TypeFor[json.RawMessage]() { // an object with any keys
			s["type"], s["additionalProperties"] = "object", schema{}
			break
		}
		s["type"], s["items"] = "array", schemaOf(t.Elem(), by, of)
	case reflect.Map:
		s["type"], s["additionalProperties"] = "object", schemaOf(t.Elem(), by, of)
		if limited, ok := reflect.Zero(t).Interface().(fact.Limited); ok {
			s["propertyNames"] = schema{"pattern": "^(" + strings.Join(limited.Names(), "|") + ")$"}
		}
	case reflect.Struct:
		keys := schema{}
		addKeys(keys, t, by)
		s["type"], s["properties"], s["additionalProperties"] = "object", keys, false
	default:
		s["type"] = "integer"
	}
	return s
}

// addKeys adds the schemas of the fields of a struct, by their names in JSON.
func addKeys(keys schema, t reflect.Type, by fact.Writer) {
	for _, field := range reflect.VisibleFields(t) {
		if field.Anonymous || !field.IsExported() {
			continue // the fields of an anonymous one are visible
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		own := by
		if w, ok := field.Tag.Lookup("by"); ok {
			own = fact.Writer(w)
		}
		keys[name] = schemaOf(field.Type, own, field.Tag)
	}
}

// statuses are the statuses that any fact may have.
var statuses = []string{
	policy.StatusMissing, policy.StatusUnreadable, policy.StatusInvalid, policy.StatusEmpty,
	policy.StatusRecorded, policy.StatusTimedOut, policy.StatusFailed,
}
