package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
)

// The layers are the sources of a configuration. Koanf has the values of its keys, those of a
// later layer over those of an earlier. Labels and settings go straight to the configuration:
// their names are free, and Koanf would take one with a dot apart.
type layers struct {
	config *Config
	keys   map[string]key
	merged *koanf.Koanf
	layer  map[string]any // the values of the present layer, each checked
}

const sourceDefault = "default"

// newLayers has the defaults.
func newLayers(c *Config) layers {
	l := layers{config: c, keys: map[string]key{}, merged: koanf.New("."), layer: map[string]any{}}
	c.Labels, c.Settings, c.values = map[string]string{}, map[string]any{}, map[string]Value{}
	for _, k := range keysOf(c) {
		if k.name == "policy" && !exists(k.standard) {
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
	l.merge()
	return l
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// merge puts the present layer over those before, and begins another.
func (l layers) merge() {
	_ = l.merged.Load(confmap.Provider(l.layer, "."), nil) // nothing is read or parsed
	clear(l.layer)
}

// fill gives the configuration the values that are in force.
func (l layers) fill() {
	for name, k := range l.keys {
		value, _, _ := k.typed(l.merged.Get(name)) // set has checked it
		k.field.Set(value)
	}
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
		if _, what, err = l.keys[name].typed(value); err == nil {
			l.layer[name] = value
		}
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

// upstreamVariables are the variables of hermes-agent itself, with the key that each sets.
var upstreamVariables = map[string]string{"HERMES_HOME": "home", "S6_PROFILE_GATEWAY_SCANDIR": "scandir"}

// factPrefix begins the variables that are facts for rules, not configuration.
const factPrefix = "HERMES_RECONCILE_FACT_"

// addEnvironment adds HERMES_RECONCILE_<KEY>. "__" stands for the dot of a nested key, a
// comma separates the items of a list, and an empty variable counts as unset. A variable of
// no key is no error, but ignored: Kubernetes, for example, makes
// HERMES_RECONCILE_SERVICE_HOST for a service of that name.
func (l layers) addEnvironment(environ []string) error {
	defer l.merge()
	var errs []error
	add := func(variable, name, text string) {
		var value any = text
		var err error
		if k, known := l.keys[name]; known {
			value, err = k.fromText(text)
		}
		if err == nil {
			_, err = l.set(name, value, Value{Source: "environment", Location: variable})
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("environment: %s: %w", variable, err))
		}
	}
	for variable, name := range upstreamVariables {
		if text := lookup(environ, variable); text != "" {
			add(variable, name, text)
		}
	}
	for _, entry := range environ {
		variable, text, _ := strings.Cut(entry, "=")
		name, ok := strings.CutPrefix(variable, "HERMES_RECONCILE_")
		if !ok || text == "" || strings.HasPrefix(variable, factPrefix) || name == "PROFILES" {
			continue
		}
		name = strings.ReplaceAll(strings.ToLower(name), "__", ".")
		if _, known := l.keys[name]; known || strings.HasPrefix(name, "labels.") {
			add(variable, name, text)
			continue
		}
		l.config.Ignored = append(l.config.Ignored, fmt.Sprintf("environment: %s is ignored: no such key as %q%s", variable, name, suggest.Words(name, Keys())))
	}
	return errors.Join(errs...)
}

func lookup(environ []string, name string) string {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// noWatch is the flag that sets its key to the opposite.
const noWatch = "no-watch"

// AddFlags adds the flags that every command has.
func AddFlags(flags *pflag.FlagSet) {
	flags.String("home", "", "the home on the volume (HERMES_HOME, default /opt/data)")
	flags.String("scandir", "", "the scan directory of s6 (S6_PROFILE_GATEWAY_SCANDIR, default /run/service)")
	flags.StringArray("policy", nil, "directory of rule packages, may be given several times (default /etc/hermes-reconcile/policy where it exists)")
	flags.String("config", "", "configuration file (default "+defaultFile+" where it exists)")
	flags.Bool("trust-policy", false, "believe rules and a configuration that the user of the agents could have written; for a machine without agents")
	flags.StringP("output", "o", "", "table, json or yaml (default table)")
	flags.String("log-level", "", "debug, info, warn or error (default info)")
	flags.String("log-format", "", "auto, text or json (default auto: text on a terminal)")
}

// Words returns the words of which a flag takes one; none is any.
func Words(flag string) []string { return flagWords()[flag] }

// Every start of the program asks for each flag.
var flagWords = sync.OnceValue(func() map[string][]string {
	words := map[string][]string{}
	for _, k := range keysOf(&Config{}) {
		words[k.flag] = k.words
	}
	delete(words, "") // keys without a flag
	return words
})

// addFlags adds the flags that are given.
func (l layers) addFlags(flags *pflag.FlagSet) error {
	defer l.merge()
	var errs []error
	for _, k := range keysOf(l.config) {
		f := flags.Lookup(k.flag)
		if f == nil || !f.Changed {
			continue
		}
		var value any = f.Value.String()
		switch f.Value.Type() {
		case "bool":
			value = (value == "true") != (k.flag == noWatch)
		case "stringArray":
			value, _ = flags.GetStringArray(f.Name) // one empty text is an empty list
		}
		if what, err := l.set(k.name, value, Value{Source: "flag", Location: "--" + k.flag}); err != nil {
			errs = append(errs, fmt.Errorf("configuration: %s %w", what, err))
		}
	}
	return errors.Join(errs...)
}

// given returns the flags of the command line that every command has, sorted.
func given(flags *pflag.FlagSet) []string {
	var words []string
	common := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(common)
	flags.Visit(func(f *pflag.Flag) {
		if common.Lookup(f.Name) == nil || f.Name == "output" {
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			if path, err := filepath.Abs(value); err == nil && !policy.IsBundle(value) && slices.Contains(pathFlags, f.Name) {
				value = path
			}
			words = append(words, "--"+f.Name+"="+value)
		}
	})
	return words
}

var pathFlags = []string{"config", "home", "policy", "scandir"}
