package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"

	"hermes-reconcile/policy/suggest"
)

// upstreamVariables are the variables of hermes-agent itself.
func upstreamVariables(environ []string) map[string]any {
	found := map[string]any{}
	for name, key := range map[string]string{"HERMES_HOME": "home", "S6_PROFILE_GATEWAY_SCANDIR": "scandir"} {
		if value := lookup(environ, name); value != "" {
			found[key] = value
		}
	}
	return found
}

// factPrefix begins the variables that are facts for rules, not configuration.
const factPrefix = "HERMES_RECONCILE_FACT_"

// loadEnvironment reads HERMES_RECONCILE_<KEY>. "__" stands for the dot of a nested key, a
// comma separates the items of a list, and an empty variable counts as unset.
func loadEnvironment(k *koanf.Koanf, environ []string) error {
	if err := k.Load(confmap.Provider(upstreamVariables(environ), "."), nil); err != nil {
		return err
	}
	const prefix = "HERMES_RECONCILE_"
	var errs []error
	err := k.Load(env.Provider(".", env.Opt{
		Prefix:      prefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			if value == "" || strings.HasPrefix(name, factPrefix) || name == "HERMES_RECONCILE_PROFILES" {
				return "", nil
			}
			key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, prefix)), "__", ".")
			typed, err := environmentValue(key, value)
			if err != nil {
				errs = append(errs, fmt.Errorf("environment: %s: %w", name, err))
				return "", nil
			}
			return key, typed
		},
	}), nil)
	return errors.Join(append(errs, err)...)
}

// environmentValue converts the text of a variable to the type of its key.
func environmentValue(key, value string) (any, error) {
	if words, ok := choices[key]; ok && !slices.Contains(words, value) {
		return nil, fmt.Errorf("%q is none of %s", value, strings.Join(words, ", "))
	}
	switch standard := defaults()[key].(type) {
	case string:
		return value, checkUnit(standard, value)
	case bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return nil, fmt.Errorf("%q is not true or false", value)
		}
		return b, nil
	case int:
		n, err := strconv.Atoi(value)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", value)
		}
		return n, checkCapacity(n)
	case []string:
		return strings.Split(value, ","), nil
	}
	return nil, fmt.Errorf("no such key as %q%s", key, suggest.Words(key, Keys()))
}

func lookup(environ []string, name string) string {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
