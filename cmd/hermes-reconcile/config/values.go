package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"hermes-reconcile/policy"
)

// A Value is a key of the configuration that is in force, and where its value comes from.
type Value struct {
	Key   string `json:"key"`
	Value any    `json:"value"` // HiddenValue where a name is that of a secret
	// Source is default, file, environment or flag.
	Source string `json:"source"`
	// Location is file:row:col, the name of the variable, or the flag; "" for a default.
	Location string `json:"location,omitempty"`
}

// HiddenValue stands for a value whose name is that of a secret.
const HiddenValue = "(not shown: the name is that of a secret)"

// Values returns every key with its value, by key, beside what Read returns.
func Values(flags *pflag.FlagSet, environ []string) (values []Value, c Config, wrong, err error) {
	k, from, c, wrong, err := read(flags, environ)
	keys := Keys()
	for _, section := range []string{"labels", "settings"} {
		for _, name := range k.MapKeys(section) {
			keys = append(keys, section+"."+name)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		v, known := from[key]
		if !known {
			v.Source = "default"
		}
		v.Key, v.Value = key, WithoutSecrets(key[strings.LastIndexByte(key, '.')+1:], k.Get(key))
		values = append(values, v)
	}
	return values, c, wrong, err
}

// WithoutSecrets hides the values of secrets, also deep in a setting.
func WithoutSecrets(name string, value any) any {
	if policy.NamesSecret(name) {
		return HiddenValue
	}
	switch value := value.(type) {
	case string:
		return policy.ShownSource(value)
	case map[string]any:
		shown := map[string]any{}
		for name, below := range value {
			shown[name] = WithoutSecrets(name, below)
		}
		return shown
	case []string:
		shown := []string{}
		for _, text := range value {
			shown = append(shown, policy.ShownSource(text))
		}
		return shown
	case []any:
		var shown []any
		for _, below := range value {
			shown = append(shown, WithoutSecrets("", below))
		}
		return shown
	}
	return value
}

// Origins say where the keys come from that have no default any more.
type origins map[string]Value

// settings returns the places of the settings in the file.
func (o origins) settings() map[string]string {
	places := map[string]string{}
	for key, v := range o {
		if name, ok := strings.CutPrefix(key, "settings."); ok {
			places[name] = v.Location
		}
	}
	return places
}

// places are where the keys of a file stand, as file:row:col.
type places map[string]string

// placesOf returns the places of the keys of an object. Of the keys below a setting, the place
// of the setting is enough.
func placesOf(object *yaml.Node, file string) places {
	p := places{}
	p.add(object, "", file)
	return p
}

func (p places) add(object *yaml.Node, above, file string) {
	for i := 0; object.Kind == yaml.MappingNode && i+1 < len(object.Content); i += 2 {
		name, value := object.Content[i], object.Content[i+1]
		if value.Kind == yaml.MappingNode && above == "" {
			p.add(value, name.Value+".", file)
			continue
		}
		p[above+name.Value] = fmt.Sprintf("%s:%d:%d", file, name.Line, name.Column)
	}
}

// of returns the place of a key, or of that above it.
func (p places) of(key string) string {
	for p[key] == "" && strings.Contains(key, ".") {
		key = key[:strings.LastIndexByte(key, '.')]
	}
	return p[key]
}
