package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The layers fill a configuration, a later one over an earlier.
type layers struct {
	config *Config
	keys   map[string]key
}

const sourceDefault = "default"

// newLayers has the defaults.
func newLayers(c *Config) layers {
	l := layers{config: c, keys: map[string]key{}}
	c.Labels, c.Settings, c.values = map[string]string{}, map[string]any{}, map[string]Value{}
	for _, k := range keysOf(c) {
		if _, err := os.Stat(k.standard); k.name == "policy" && err != nil {
			k.standard = ""
		}
		value, err := k.fromText(k.standard)
		if err == nil {
			l.keys[k.name] = k
			_, err = l.set(k.name, value, Value{Source: sourceDefault})
		}
		if err != nil {
			panic(fmt.Sprintf("the default of %s: %v", k.name, err))
		}
	}
	return l
}

// set gives a key, a label or a setting a value of a source. An error is about what, and then
// nothing changes.
func (l layers) set(name string, value any, source Value) (what string, err error) {
	section, below, _ := strings.Cut(name, ".")
	switch section {
	case "labels":
		what, err = l.setLabel(below, value)
	case "settings":
		if _, err = json.Marshal(value); err != nil {
			return name + " is", fmt.Errorf("%v, want what JSON has: numbers that are finite", value)
		}
		l.config.Settings[below] = value
	default:
		if text, _ := value.(string); text != "" && (name == "home" || name == "scandir") {
			value, _ = filepath.Abs(text) // "" is no directory, if there is no working directory
		}
		what, err = l.keys[name].set(value)
	}
	if err == nil {
		source.Key, source.Value = name, value
		l.config.values[name] = source
	}
	return what, err
}

func (l layers) setLabel(name string, value any) (what string, err error) {
	text, isText := value.(string)
	if !isText {
		return "labels." + name + " is", fmt.Errorf("%s, want a text", shown(value))
	}
	if err := checkLabel(name, text); err != nil {
		return "labels:", err
	}
	if _, known := l.config.Labels[name]; !known && len(l.config.Labels) == mostLabels {
		return "labels:", fmt.Errorf("there are more than %d", mostLabels)
	}
	l.config.Labels[name] = text
	return "", nil
}
