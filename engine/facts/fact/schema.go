package fact

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"hermes-reconcile/policy"
)

// A Writer is who could have written what a fact is made from.
type Writer string

// The writers.
const (
	ByImage    Writer = "image"
	ByOperator Writer = "operator"
	ByKernel   Writer = "kernel"
	ByAgent    Writer = "agent"
)

// A Limited map has only keys of these names. A name that ends in .* stands for all that begin
// so. Policy check knows no other pattern.
type Limited interface{ Names() []string }

// schema is a JSON Schema, or a part of one.
type schema map[string]any

// schemaOf derives the JSON Schema of a value from its Go type, so that each field of a fact
// is declared once. Besides json, a field has these tags:
//
//	about   the description
//	of      the description of each item of a list or value of a map; "|" leads one level deeper
//	words   the only values of a string, with commas between them; "status": those of every fact
//	by      the writer, if it is not that of the whole fact
func schemaOf(t reflect.Type, by Writer, tag reflect.StructTag) schema {
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
		if limited, ok := reflect.Zero(t).Interface().(Limited); ok {
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
func addKeys(keys schema, t reflect.Type, by Writer) {
	for _, field := range reflect.VisibleFields(t) {
		if field.Anonymous || !field.IsExported() {
			continue // the fields of an anonymous one are visible
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		own := by
		if w, ok := field.Tag.Lookup("by"); ok {
			own = Writer(w)
		}
		keys[name] = schemaOf(field.Type, own, field.Tag)
	}
}

// statuses are the statuses that any fact may have.
var statuses = []string{
	policy.StatusMissing, policy.StatusUnreadable, policy.StatusInvalid, policy.StatusEmpty,
	policy.StatusRecorded, policy.StatusTimedOut, policy.StatusFailed,
}
