package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"

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

// Values are the values of all keys, labels and settings, by key.
func (c Config) Values() []Value {
	values := slices.SortedFunc(maps.Values(c.values), func(a, b Value) int { return cmp.Compare(a.Key, b.Key) })
	for i, v := range values {
		values[i].Value = WithoutSecrets(v.Key[strings.LastIndexByte(v.Key, '.')+1:], v.Value)
	}
	return values
}

// SettingPlaces are file:row:col of the settings in the file, by name.
func (c Config) SettingPlaces() map[string]string {
	places := map[string]string{}
	for key, v := range c.values {
		if name, ok := strings.CutPrefix(key, "settings."); ok {
			places[name] = v.Location
		}
	}
	return places
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
		shown := []any{}
		for _, below := range value {
			shown = append(shown, WithoutSecrets("", below))
		}
		return shown
	}
	return value
}
