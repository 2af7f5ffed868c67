package rego

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Schema is the part of JSON Schema that the schemas of facts and settings use. The
// methods accept a nil Schema, which means that nothing is known.
type Schema struct {
	Type       string             `json:"type"`
	Properties map[string]*Schema `json:"properties"`
	Additional *Schema            `json:"additionalProperties"`
	Items      *Schema            `json:"items"`
	Enum       []any              `json:"enum"`
	KeyNames   *struct {
		Pattern string `json:"pattern"` // ^(A|B|PREFIX_.*)$
	} `json:"propertyNames"`
	MinLength int      `json:"minLength"`
	Minimum   *float64 `json:"minimum"` // of a number; with it goes a maximum
	Maximum   float64  `json:"maximum"`
	WrittenBy string   `json:"x-written-by"`

	boolean *bool // the whole schema is true or false
}

// UnmarshalJSON also accepts the schemas true and false.
func (s *Schema) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case "true", "false":
		is := string(text) == "true"
		*s = Schema{boolean: &is}
		return nil
	}
	type plain Schema
	return json.Unmarshal(text, (*plain)(s))
}

// Below returns the schema of a key; "*" stands for any key. The result is nil if
// nothing is known about it.
func (s *Schema) Below(key string) *Schema {
	if s == nil {
		return nil
	}
	if p, ok := s.Properties[key]; ok {
		return p
	}
	if s.Type == "array" {
		return s.Items
	}
	return s.values()
}

// values returns the schema of the values of a map, or nil.
func (s *Schema) values() *Schema {
	if s.Additional == nil || s.Additional.boolean != nil {
		return nil
	}
	return s.Additional
}

// Keys lists the keys that an object may have, or is nil if it may have any. A key that ends
// in … stands for all that begin so.
func (s *Schema) Keys() []string {
	switch {
	case s == nil || s.Type != "object":
		return nil
	case s.KeyNames != nil:
		names := strings.TrimSuffix(strings.TrimPrefix(s.KeyNames.Pattern, "^("), ")$")
		return strings.Split(strings.ReplaceAll(names, ".*", "…"), "|")
	case len(s.Properties) == 0 || s.values() != nil || s.Additional != nil && *s.Additional.boolean:
		return nil
	}
	return slices.Sorted(maps.Keys(s.Properties))
}

// Allows reports whether an object may have the key; "*" stands for any.
func (s *Schema) Allows(key string) bool {
	known := s.Keys()
	return known == nil || key == "*" || slices.ContainsFunc(known, func(name string) bool {
		prefix, open := strings.CutSuffix(name, "…")
		return name == key || open && strings.HasPrefix(key, prefix)
	})
}

// check compares a setting with the schema. Node is the place of the value, or nil.
func (s *Schema) check(of settings, node *yaml.Node, what string, value any) Errors {
	if !s.fits(value) {
		return Errors{of.at(node, "%s is %s, want %s", what, SettingType(value), s)}
	}
	if text, ok := value.(string); ok {
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
			return Errors{of.at(node, "%s is %q, have %s", what, text, s.EnumText())}
		}
		if len(text) < s.MinLength {
			return Errors{of.at(node, "%s is empty", what)}
		}
	}
	if number, ok := value.(json.Number); ok && s.Minimum != nil {
		n, err := number.Float64()
		if err != nil || n < *s.Minimum || n > s.Maximum || s.Type == "integer" && n != math.Trunc(n) {
			return Errors{of.at(node, "%s is %s, want %s from %.0f to %.0f", what, number, s, *s.Minimum, s.Maximum)}
		}
	}
	var errs Errors
	if list, ok := value.([]any); ok && s.Items != nil {
		for i, item := range list {
			errs = append(errs, s.Items.check(of, below(node, i), fmt.Sprintf("%s: item %d", what, i+1), item)...)
		}
	}
	return errs
}

// fits compares the types. The items of a list are checked one by one.
func (s *Schema) fits(value any) bool {
	switch s.Type {
	case "array":
		_, ok := value.([]any)
		return ok
	case "integer":
		return SettingType(value) == "a number"
	}
	return SettingType(value) == s.String()
}

// EnumText lists the words of the enum.
func (s *Schema) EnumText() string {
	words := make([]string, len(s.Enum))
	for i, word := range s.Enum {
		words[i] = fmt.Sprint(word)
	}
	return strings.Join(words, ", ")
}

// String names the type of a setting in words.
func (s *Schema) String() string {
	switch s.Type {
	case "array":
		return "a list of strings"
	case "object":
		return "an object"
	case "integer":
		return "a whole number"
	}
	return "a " + s.Type
}
