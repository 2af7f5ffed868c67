package facts

import (
	"context"

	"hermes-reconcile/policy"
)

type multiplexFact struct {
	outcome
	On           bool     `json:"on"`
	Source       string   `json:"source"`
	ConfigStatus string   `json:"config_status"`
	Allowlist    []string `json:"allowlist,omitempty"`
	Routes       int      `json:"routes"`
	Warnings     []string `json:"warnings"`
}

// multiplex reports whether the root profile's gateway serves the other profiles:
// the environment decides if it is set and makes sense, else the root's
// config.yaml, else it is off.
func multiplex(c Config) Source {
	return Source{"multiplex", multiplexSchema, func(context.Context) (any, error) {
		return describeMultiplex(c.variables().values["GATEWAY_MULTIPLEX_PROFILES"], readConfig(c.Root)), nil
	}}
}

func multiplexSchema() string {
	return fact(byAgent, "whether one gateway serves several profiles", properties{
		"on":            boolean("it does; false too where the status is invalid or unreadable"),
		"source":        word("what decided: GATEWAY_MULTIPLEX_PROFILES; config.yaml of the root profile, gateway.multiplex_profiles or multiplex_profiles at the top; or nothing", "environment", "config", "default"),
		"config_status": status("how reading config.yaml of the root profile went"),
		"allowlist":     list("gateway.multiplex_profile_allowlist of config.yaml, which older images know; absent without one", text("profile")),
		"routes":        integer("number of entries in gateway.profile_routes of config.yaml"),
		"warnings":      list("values that make no sense and count as unset", text("which, and what would have been right")),
	})
}

func describeMultiplex(environment string, config configFile) multiplexFact {
	f := multiplexFact{outcome: recorded, Source: "default", ConfigStatus: config.Status, Warnings: []string{}}
	f.Allowlist = textsOf(config.at("gateway", "multiplex_profile_allowlist"), 1000, 255)
	if routes := config.at("gateway", "profile_routes"); routes != nil {
		f.Routes = max(len(keysOf(routes, 1000)), len(textsOf(routes, 1000, 255)))
	}
	on, problem := parseSwitch(environment)
	if problem != "" {
		f.Warnings = append(f.Warnings, "GATEWAY_MULTIPLEX_PROFILES: "+problem)
	}
	if on != nil {
		f.On, f.Source = *on, "environment"
		return f
	}
	if config.Status == policy.StatusInvalid || config.Status == policy.StatusUnreadable {
		f.outcome = config.outcome
		return f
	}
	for _, keys := range [][]string{{"gateway", "multiplex_profiles"}, {"multiplex_profiles"}} {
		node := config.at(keys...)
		if _, set := scalar(node); !set {
			continue
		}
		on, ok := boolOf(node)
		if !ok {
			f.Warnings = append(f.Warnings, "config.yaml: "+keys[len(keys)-1]+": want true or false")
			continue
		}
		f.On, f.Source = on, "config"
		return f
	}
	return f
}
