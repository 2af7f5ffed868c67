package config

import (
	"errors"
	"fmt"
	"strings"

	"hermes-reconcile/policy/suggest"
)

// upstreamVariables are the variables of hermes-agent itself, with the key that each sets.
var upstreamVariables = map[string]string{"HERMES_HOME": "home", "S6_PROFILE_GATEWAY_SCANDIR": "scandir"}

// factPrefix begins the variables that are facts for rules, not configuration.
const factPrefix = "HERMES_RECONCILE_FACT_"

// addEnvironment adds HERMES_RECONCILE_<KEY>. "__" stands for the dot of a nested key, a
// comma separates the items of a list, and an empty variable counts as unset. A variable of
// no key is no error, but ignored: Kubernetes, for example, makes
// HERMES_RECONCILE_SERVICE_HOST for a service of that name.
func (l layers) addEnvironment(environ []string) error {
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
