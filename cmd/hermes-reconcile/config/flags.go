package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"hermes-reconcile/policy"
)

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
func Words(flag string) []string {
	for _, k := range keysOf(&Config{}) {
		if k.flag == flag {
			return k.words
		}
	}
	return nil
}

// addFlags adds the flags that are given.
func (l layers) addFlags(flags *pflag.FlagSet) error {
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
			value = f.Value.(pflag.SliceValue).GetSlice()
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
