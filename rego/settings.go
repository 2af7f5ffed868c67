package rego

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"hermes-reconcile/policy/suggest"

	"go.yaml.in/yaml/v3"
)

// SettingsFile is where a layer has its settings.
const SettingsFile = "data/settings.yaml"

// settings are the values of one file or of the configuration, with their places if
// they have any.
type settings struct {
	name   string // as errors print it
	values map[string]any
	nodes  map[string]*yaml.Node // the value of each key
	keys   map[string]*yaml.Node
	text   []byte
}

// ReadSettings reads data/settings.yaml of a layer: the values, and the row of each
// key. Without the file there are no settings. The error is an Errors.
func ReadSettings(layer Layer) (values map[string]any, rows map[string]int, err error) {
	s, err := readLayerSettings(layer)
	rows = make(map[string]int, len(s.keys))
	for key, node := range s.keys {
		rows[key] = node.Line
	}
	return s.values, rows, err
}

func readLayerSettings(layer Layer) (settings, error) {
	s := settings{name: path.Join(layer.Name, SettingsFile)}
	file := SettingsFile
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

// read reads the object below the one key of the document.
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

// at makes an error with the place of a node. Without a node the place is the file.
func (s *settings) at(node *yaml.Node, format string, args ...any) *Error {
	e := &Error{File: s.name, Code: "settings_error", Message: fmt.Sprintf(format, args...)}
	if node != nil {
		e.Row, e.Col, e.Position = node.Line, node.Column, true
	}
	return e
}

// A nodeReader converts YAML to the values of JSON, which rules see: a date stays text,
// and every key is text.
type nodeReader struct {
	settings *settings
	seen     int
}

// The limits end an alias that contains itself, or one that doubles again and again.
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
			return nil, r.settings.at(key, "the key %s is not text, quote it", key.Value)
		}
		if _, twice := object[key.Value]; twice {
			return nil, r.settings.at(key, "the key %q is given twice", key.Value)
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
			return nil, r.settings.at(node, "%s is not a number that JSON has", node.Value)
		}
		return value, nil
	case "!!str", "!!timestamp":
		return node.Value, nil
	}
	return nil, r.settings.at(node, "the tag %s is not known here", node.Tag)
}

// configurationSettings returns the settings of the configuration, which have no places.
func configurationSettings(values map[string]any) (settings, error) {
	s := settings{name: "configuration: settings", values: values}
	text, err := json.Marshal(values)
	if err != nil {
		return s, Errors{s.at(nil, "%v; keys must be text, and values must be those of JSON", err)}
	}
	if len(values) == 0 {
		return s, nil
	}
	// Through JSON, so that what rules see does not depend on the YAML library.
	s.values = nil
	return s, json.Unmarshal(text, &s.values)
}

// mergeSettings adds more to base. A value of more replaces the whole value of base. A
// setting of the built-in rules must fit their schema, any other must keep the type
// that it has in base. A key that looks like a misspelt key of base is an error.
func mergeSettings(base map[string]any, more settings) (map[string]any, error) {
	merged := maps.Clone(base)
	if merged == nil {
		merged = map[string]any{}
	}
	known := slices.Sorted(maps.Keys(base))
	var errs Errors
	for key, value := range more.values {
		errs = append(errs, checkSetting(base, known, more, key, value)...)
		merged[key] = value
	}
	if len(errs) > 0 {
		slices.SortFunc(errs, func(a, b *Error) int {
			return cmp.Or(a.Row-b.Row, strings.Compare(a.Message, b.Message))
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
		if near := suggest.Nearest(key, known); near != "" {
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

// SettingsSchema returns the JSON Schema of the settings of the built-in rules.
func SettingsSchema() []byte {
	text, err := embedded.ReadFile("policies/settings.schema.json")
	if err != nil {
		panic(err) // the file is compiled in
	}
	return text
}

var settingsSchema = sync.OnceValue(func() *Schema {
	schema := &Schema{}
	if err := json.Unmarshal(SettingsSchema(), schema); err != nil {
		panic(err) // the file is compiled in, and a test reads it
	}
	return schema
})
