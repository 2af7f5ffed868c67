package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/suggest"
)

// upstreamVariables are the variables of hermes-agent itself, with the key that each sets.
var upstreamVariables = map[string]string{"HERMES_HOME": "home", "S6_PROFILE_GATEWAY_SCANDIR": "scandir"}

// factPrefix begins the variables that are facts for rules, not configuration.
const factPrefix = "HERMES_RECONCILE_FACT_"

// loadEnvironment reads HERMES_RECONCILE_<KEY>. "__" stands for the dot of a nested key, a
// comma separates the items of a list, and an empty variable counts as unset. A variable of
// no key is no error, but listed in ignored: Kubernetes, for example, makes
// HERMES_RECONCILE_SERVICE_HOST for a service of that name.
func loadEnvironment(k *koanf.Koanf, from origins, environ []string) (ignored []string, err error) {
	values := map[string]any{}
	for name, key := range upstreamVariables {
		if value := lookup(environ, name); value != "" {
			values[key], from[key] = value, Value{Source: "environment", Location: name}
		}
	}
	var errs []error
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		key, ok := strings.CutPrefix(name, "HERMES_RECONCILE_")
		if !ok || value == "" || strings.HasPrefix(name, factPrefix) || name == "HERMES_RECONCILE_PROFILES" {
			continue
		}
		key = strings.ReplaceAll(strings.ToLower(key), "__", ".")
		if label, ok := strings.CutPrefix(key, "labels."); ok {
			if err := checkLabels(map[string]string{label: value}); err != nil {
				errs = append(errs, fmt.Errorf("environment: %s: %w", name, err))
				continue
			}
			values[key], from[key] = value, Value{Source: "environment", Location: name}
			continue
		}
		if !slices.Contains(Keys(), key) {
			ignored = append(ignored, fmt.Sprintf("environment: %s is ignored: no such key as %q%s", name, key, suggest.Words(key, Keys())))
			continue
		}
		typed, err := environmentValue(key, value)
		if err != nil {
			errs = append(errs, fmt.Errorf("environment: %s: %w", name, err))
			continue
		}
		values[key], from[key] = typed, Value{Source: "environment", Location: name}
	}
	return ignored, errors.Join(append(errs, k.Load(confmap.Provider(values, "."), nil))...)
}

// environmentValue converts the text of a variable to the type of its key.
func environmentValue(key, value string) (any, error) {
	if words, ok := choices[key]; ok && !slices.Contains(words, value) {
		return nil, fmt.Errorf("%q is none of %s", value, strings.Join(words, ", "))
	}
	switch standard := defaults()[key].(type) {
	case string:
		switch key {
		case "watch.listen":
			return value, checkListen(value)
		case "decision_log.url":
			return value, checkCollector(value)
		}
		if key == "bundles.rollout.soak" {
			return value, policy.Rollout{Soak: value}.Check()
		}
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
		return n, checkNumber(key, n)
	}
	if _, hasParts := defaults()[key].([]map[string]any); hasParts {
		return nil, errors.New("its items have parts; write them in the configuration file")
	}
	list := strings.Split(value, ",")
	if key == "facts.config_keys" {
		return list, checkConfigKeys(list)
	}
	return list, nil
}

func lookup(environ []string, name string) string {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
