package rego

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

const settingsFile = "data/settings.yaml"

// settings are the values of one place, with where they stand where that is
// known.
type settings struct {
	name   string // as errors show it
	values map[string]any
	nodes  map[string]*yaml.Node // the value of each key
	keys   map[string]*yaml.Node
	text   []byte
}

// readSettings reads data/settings.yaml of a layer; a missing file is no
// settings.
func readSettings(layer Layer) (map[string]any, error) {
	s, err := readLayerSettings(layer)
	return s.values, err
}

func readLayerSettings(layer Layer) (settings, error) {
	s := settings{name: path.Join(layer.Name, settingsFile)}
	file := settingsFile
	if layer.Name == "" {
		s.name, file = "settings.yaml", "settings.yaml"
	}
	text, err := readFile(layer.Files, file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, Errors{{File: s.name, Code: "settings_error", Message: err.Error()}}
	}
	s.text = text
	if err := s.parse(text); err != nil {
		return s, Errors{err}
	}
	return s, nil
}

// parse reads the one document of a file.
func (s *settings) parse(text []byte) *Error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return s.at(nil, "%v", err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return s.at(&second, "a second document, want one")
	}
	return s.read(&document)
}

// read takes the object below the one key of the document.
func (s *settings) read(document *yaml.Node) *Error {
	if len(document.Content) == 0 {
		return nil // nothing but comments
	}
	top := document.Content[0]
	if top.Kind != yaml.MappingNode || len(top.Content) != 2 || top.Content[0].Value != "settings" {
		wrong := top
		for i := 0; top.Kind == yaml.MappingNode && i < len(top.Content); i += 2 {
			if top.Content[i].Value != "settings" {
				wrong = top.Content[i]
				break
			}
		}
		return s.at(wrong, "want one key, settings, with an object")
	}
	object := top.Content[1]
	if object.Kind == yaml.ScalarNode && object.ShortTag() == "!!null" {
		return nil
	}
	if object.Kind != yaml.MappingNode {
		return s.at(object, "want one key, settings, with an object")
	}
	reader := nodeReader{settings: s}
	value, err := reader.value(object, 0)
	if err != nil {
		return err
	}
	s.values = value.(map[string]any)
	s.nodes, s.keys = map[string]*yaml.Node{}, map[string]*yaml.Node{}
	for i := 0; i+1 < len(object.Content); i += 2 {
		key := object.Content[i]
		s.keys[key.Value], s.nodes[key.Value] = key, object.Content[i+1]
	}
	return nil
}

// at makes an error with the place of a node; without one the file is the place.
func (s *settings) at(node *yaml.Node, format string, args ...any) *Error {
	e := &Error{File: s.name, Code: "settings_error", Message: fmt.Sprintf(format, args...)}
	if node != nil {
		e.Row, e.Col, e.Position = node.Line, node.Column, true
	}
	return e
}

// A nodeReader turns YAML into the values that JSON has, since that is what rules
// see: a date stays the text that it is, and every key is a text.
type nodeReader struct {
	settings *settings
	seen     int
}

// The bounds keep an alias that contains itself, or doubles and doubles, from
// being followed for ever.
const (
	maxSettingNodes = 100_000
	maxSettingDepth = 50
)

func (r *nodeReader) value(node *yaml.Node, depth int) (any, *Error) {
	if r.seen++; r.seen > maxSettingNodes || depth > maxSettingDepth {
		return nil, r.settings.at(node, "more than %d values or %d levels", maxSettingNodes, maxSettingDepth)
	}
	switch node.Kind {
	case yaml.AliasNode:
		return r.value(node.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for _, item := range node.Content {
			value, err := r.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case yaml.MappingNode:
		return r.object(node, depth)
	}
	return r.scalar(node)
}

func (r *nodeReader) object(node *yaml.Node, depth int) (any, *Error) {
	object := make(map[string]any, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			return nil, r.settings.at(key, "the key %s is no text, quote it", key.Value)
		}
		if _, twice := object[key.Value]; twice {
			return nil, r.settings.at(key, "the key %q is there twice", key.Value)
		}
		value, err := r.value(node.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		object[key.Value] = value
	}
	return object, nil
}

func (r *nodeReader) scalar(node *yaml.Node) (any, *Error) {
	switch node.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool", "!!int", "!!float":
		var value any
		if err := node.Decode(&value); err != nil {
			return nil, r.settings.at(node, "%v", err)
		}
		if _, err := json.Marshal(value); err != nil {
			return nil, r.settings.at(node, "%s is no number that JSON has", node.Value)
		}
		return value, nil
	case "!!str", "!!timestamp":
		return node.Value, nil
	}
	return nil, r.settings.at(node, "the tag %s is not known here", node.Tag)
}

// configured are the settings of the configuration, whose places are not known.
func configured(values map[string]any) (settings, error) {
	s := settings{name: "configuration: settings", values: values}
	text, err := json.Marshal(values)
	if err != nil {
		return s, Errors{s.at(nil, "%v; keys are texts, and values are those that JSON has", err)}
	}
	if len(values) == 0 {
		return s, nil
	}
	// Through JSON, so that what rules see does not depend on the YAML library.
	s.values = nil
	return s, json.Unmarshal(text, &s.values)
}

// mergeSettings lays more over base: a key of more replaces that of base whole. A setting
// of the built-in rules is what their schema says, any other keeps the type that
// it has in base, and a key that looks like a misspelt one of base is an error.
func mergeSettings(base map[string]any, more settings) (map[string]any, error) {
	merged := make(map[string]any, len(base)+len(more.values))
	known := make([]string, 0, len(base))
	for key, value := range base {
		merged[key] = value
		known = append(known, key)
	}
	slices.Sort(known)
	var errs Errors
	for key, value := range more.values {
		errs = append(errs, checkSetting(base, known, more, key, value)...)
		merged[key] = value
	}
	if len(errs) > 0 {
		slices.SortFunc(errs, func(a, b *Error) int {
			if a.Row != b.Row {
				return a.Row - b.Row
			}
			return strings.Compare(a.Message, b.Message)
		})
		return nil, errs
	}
	return merged, nil
}

func checkSetting(base map[string]any, known []string, more settings, key string, value any) Errors {
	if schema, ok := settingsSchema().Properties[key]; ok {
		return schema.check(more, more.nodes[key], "setting "+key, value)
	}
	old, ok := base[key]
	if !ok {
		if near := nearest(key, known); near != "" {
			return Errors{more.at(more.keys[key], "unknown setting %q, did you mean %q?", key, near)}
		}
		return nil
	}
	if want, have := settingType(old), settingType(value); want != have {
		return Errors{more.at(more.nodes[key], "setting %s is %s, want %s", key, have, want)}
	}
	return nil
}

func settingType(value any) string {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			if _, ok := item.(string); !ok {
				return "a list with something else than strings"
			}
		}
		return "a list of strings"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int, int64, uint64, float64:
		return "a number"
	case nil:
		return "empty"
	}
	return "an object"
}

// A settingSchema is the part of JSON Schema that settings.schema.json uses.
type settingSchema struct {
	Type       string                    `json:"type"`
	Properties map[string]*settingSchema `json:"properties"`
	Items      *settingSchema            `json:"items"`
	Enum       []string                  `json:"enum"`
	MinLength  int                       `json:"minLength"`
}

// SettingsSchema returns the JSON Schema of the settings of the built-in rules.
func SettingsSchema() []byte {
	text, err := embedded.ReadFile("policies/settings.schema.json")
	if err != nil {
		panic(err) // the file is compiled in
	}
	return text
}

var settingsSchema = sync.OnceValue(func() *settingSchema {
	schema := &settingSchema{}
	if err := json.Unmarshal(SettingsSchema(), schema); err != nil {
		panic(err) // the file is compiled in, and a test reads it
	}
	return schema
})

// check asserts that a value is what the schema says. The node is the place of the
// value, or nil.
func (n *settingSchema) check(s settings, node *yaml.Node, what string, value any) Errors {
	if have := settingType(value); !n.fits(value) {
		return Errors{s.at(node, "%s is %s, want %s", what, have, n)}
	}
	if text, ok := value.(string); ok {
		if len(n.Enum) > 0 && !slices.Contains(n.Enum, text) {
			return Errors{s.at(node, "%s is %q, have %s", what, text, strings.Join(n.Enum, ", "))}
		}
		if len(text) < n.MinLength {
			return Errors{s.at(node, "%s is empty", what)}
		}
	}
	var errs Errors
	if list, ok := value.([]any); ok && n.Items != nil {
		for i, item := range list {
			place := node
			if node != nil && node.Kind == yaml.SequenceNode && i < len(node.Content) {
				place = node.Content[i]
			}
			errs = append(errs, n.Items.check(s, place, fmt.Sprintf("%s: item %d", what, i+1), item)...)
		}
	}
	return errs
}

func (n *settingSchema) fits(value any) bool {
	switch n.Type {
	case "array":
		_, ok := value.([]any)
		return ok
	case "string":
		_, ok := value.(string)
		return ok
	case "boolean":
		_, ok := value.(bool)
		return ok
	case "number":
		return settingType(value) == "a number"
	}
	_, ok := value.(map[string]any)
	return ok
}

// String says in words what is wanted.
func (n *settingSchema) String() string {
	switch n.Type {
	case "array":
		return "a list of strings"
	case "object":
		return "an object"
	}
	return "a " + n.Type
}
