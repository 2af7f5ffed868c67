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
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/util"
	"go.yaml.in/yaml/v3"

	"hermes-reconcile/policy/suggest"
	"hermes-reconcile/policy/yamlerror"
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
	unused Errors // about values that are left out
}

// ReadSettings reads the values in data/settings.yaml of a layer. Without the file there
// are no settings. The error is an Errors.
func ReadSettings(layer Layer) (map[string]any, error) {
	s, errs := readLayerSettings(layer)
	return s.values, errs.OrNil()
}

// ParseSettings reads the text of a settings file: the values, and their YAML below the
// key settings, which is nil if there are none. The error is an *Error.
func ParseSettings(name string, text []byte) (values map[string]any, object *yaml.Node, err error) {
	s := settings{name: name}
	object, wrong := s.parse(text)
	if wrong != nil {
		return nil, nil, wrong
	}
	if len(s.unused) > 0 {
		return nil, nil, s.unused[0]
	}
	return s.values, object, nil
}

func readLayerSettings(layer Layer) (settings, Errors) {
	s := settings{name: layer.Shown(SettingsFile)}
	file := SettingsFile
	if layer.Name == "" {
		s.name, file = "settings.yaml", "settings.yaml"
	}
	text, err := ReadFile(layer.Files, file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if untrusted := distrust(s.name, err); untrusted != nil {
		return s, untrusted
	}
	if err != nil {
		return s, Errors{{File: s.name, Code: "settings_error", Message: err.Error()}}
	}
	s.text = text
	if _, err := s.parse(text); err != nil {
		return s, Errors{err}
	}
	return s, s.unused
}

// parse reads the one document of a file, and in it the object below the one key.
func (s *settings) parse(text []byte) (object *yaml.Node, err *Error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, s.broken(text, err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, s.at(&second, "a second document, want one")
	}
	if len(document.Content) == 0 {
		return nil, nil // only comments
	}
	wrong := document.Content[0]
	for i := 0; wrong.Kind == yaml.MappingNode && i < len(wrong.Content); i += 2 {
		if key := wrong.Content[i]; key.Value != "settings" {
			return nil, s.at(key, "want one key, settings, with an object")
		} else if object != nil {
			return nil, s.at(key, "the key settings is there twice, want one with all settings")
		}
		object = wrong.Content[i+1]
	}
	if object != nil {
		wrong = object
	}
	if wrong.ShortTag() == "!!null" {
		return nil, nil
	}
	if object == nil || object.Kind != yaml.MappingNode {
		return nil, s.at(wrong, "want one key, settings, with an object")
	}
	return object, s.read(text, object)
}

// broken makes an error about a text that is no YAML.
func (s *settings) broken(text []byte, err error) *Error {
	row, col, message := yamlerror.Explain(text, err)
	return &Error{File: s.name, Row: row, Col: col, Code: "settings_error", Message: message}
}

// read converts an object to the values of JSON, which rules see: a date stays text, and
// every key is text.
func (s *settings) read(text []byte, object *yaml.Node) *Error {
	datesAsText(object)
	if err := object.Decode(&s.values); err != nil {
		return s.broken(text, err)
	}
	exact := make(map[string]any, len(s.values))
	s.nodes, s.keys = map[string]*yaml.Node{}, map[string]*yaml.Node{}
	for i := 0; i+1 < len(object.Content); i += 2 {
		key, value := object.Content[i], object.Content[i+1]
		s.keys[key.Value], s.nodes[key.Value] = key, value
		plain, err := exactly(s.values[key.Value])
		if err != nil {
			s.unused = append(s.unused, s.wrong(key.Value, value, "setting %s: %s", key.Value, jsonOnly))
			continue
		}
		exact[key.Value] = plain
	}
	s.values = exact
	return nil
}

// exactly returns a value as JSON has it. Its numbers keep all their digits, and do not
// depend on the library that read them.
func exactly(value any) (plain any, err error) {
	text, err := json.Marshal(value)
	if err == nil {
		err = util.UnmarshalJSON(text, &plain)
	}
	return plain, err
}

const jsonOnly = "want what JSON has: keys that are text, and numbers that are finite"

func datesAsText(node *yaml.Node) {
	if node.ShortTag() == "!!timestamp" {
		node.Tag = "!!str"
	}
	for _, below := range node.Content {
		datesAsText(below)
	}
}

// at makes an error with the place of a node. Without a node the place is the file.
func (s *settings) at(node *yaml.Node, format string, args ...any) *Error {
	e := &Error{File: s.name, Code: "settings_error", Message: fmt.Sprintf(format, args...)}
	if node != nil {
		e.Row, e.Col = node.Line, node.Column
	}
	return e
}

// wrong makes an error about one setting, which costs that setting alone.
func (s *settings) wrong(key string, node *yaml.Node, format string, args ...any) *Error {
	e := s.at(node, format, args...)
	e.setting = key
	return e
}

// below returns the place of an item of a list, or of the list.
func below(node *yaml.Node, i int) *yaml.Node {
	if node != nil && node.Kind == yaml.SequenceNode && i < len(node.Content) {
		return node.Content[i]
	}
	return node
}

// configurationName is the place of a setting in the configuration.
const configurationName = "configuration: settings"

// configurationSettings returns the settings of the configuration, which have no places.
func configurationSettings(values Values) settings {
	s := settings{name: configurationName}
	plain, err := exactly(values)
	if err != nil {
		s.unused = Errors{s.at(nil, "%v; %s", err, jsonOnly)}
	}
	s.values, _ = plain.(map[string]any)
	return s
}

// Values are settings of JSON. Their numbers keep all their digits.
type Values map[string]any

// UnmarshalJSON reads numbers as json.Number.
func (v *Values) UnmarshalJSON(text []byte) error {
	return util.UnmarshalJSON(text, (*map[string]any)(v))
}

// add merges more settings. A value replaces the whole value of that key, and gets the
// type that the setting has: the type of an earlier layer, or that of the shipped recipe.
// A value that cannot have it is an error, as is a key that looks like a misspelt one. Such
// a key is not merged.
func (r *Rules) add(more settings) Errors {
	if len(more.values) == 0 {
		return nil
	}
	if r.from == nil {
		r.from = map[string]settings{}
	}
	known := slices.Sorted(maps.Keys(r.Settings))
	shipped := recipeDefaults(r.Sources)
	var errs Errors
	for key, value := range more.values {
		standard, ok := r.Settings[key]
		if !ok {
			standard, ok = shipped[key]
		}
		if ok {
			value = Fitted(key, standard, value, more.nodes[key])
		}
		wrong := checkSetting(standard, known, more, key, value)
		for _, e := range wrong {
			e.setting = key
		}
		errs = append(errs, wrong...)
		if len(wrong) == 0 {
			r.Settings[key], r.from[key] = value, more
		}
	}
	slices.SortFunc(errs, func(a, b *Error) int {
		return cmp.Or(a.Row-b.Row, strings.Compare(a.Message, b.Message))
	})
	return errs
}

// checkSetting checks a value against the standard value of its key; nil is none.
func checkSetting(standard any, known []string, more settings, key string, value any) Errors {
	if schema, ok := settingsSchema().Properties[key]; ok {
		return schema.check(more, more.nodes[key], "setting "+key, value)
	}
	if standard == nil {
		if near := suggest.Nearest(key, known); near != "" {
			return Errors{more.at(more.keys[key], "unknown setting %q, did you mean %q?", key, near)}
		}
		return nil
	}
	if want, have := SettingType(standard), SettingType(value); want != have {
		return Errors{more.at(more.nodes[key], "setting %s is %s, want %s", key, have, want)}
	}
	return nil
}

// SettingType names the type of a value in words.
func SettingType(value any) string {
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
	case json.Number, int, int64, uint64, float64:
		return "a number"
	case nil:
		return "empty"
	}
	return "an object"
}

// SettingsSchema returns the JSON Schema of the settings of the built-in rules.
func SettingsSchema() []byte { return CompiledIn(embedded.ReadFile("policies/settings.schema.json")) }

var settingsSchema = sync.OnceValue(func() *Schema {
	schema := &Schema{}
	err := json.Unmarshal(SettingsSchema(), schema)
	return CompiledIn(schema, err)
})
