package facts

import (
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type multiplexFact struct {
	read.Outcome
	On           bool     `json:"on" about:"one gateway serves several profiles; false too when the status is invalid or unreadable"`
	Source       string   `json:"source" about:"what decided: GATEWAY_MULTIPLEX_PROFILES; gateway.multiplex_profiles or multiplex_profiles in config.yaml of the root profile; or nothing" words:"environment,config,default"`
	ConfigStatus string   `json:"config_status" about:"how reading config.yaml of the root profile went" words:"status"`
	Allowlist    []string `json:"allowlist,omitempty" about:"gateway.multiplex_profile_allowlist of config.yaml, which older images know; absent when not set" of:"profile"`
	Routes       int      `json:"routes" about:"number of entries in gateway.profile_routes of config.yaml"`
	Warnings     []string `json:"warnings" about:"settings with a value that is not valid, so they count as unset" of:"the setting, and which values are valid"`
}

// multiplex is whether the root profile's gateway serves the other profiles. The environment
// decides if it is set and valid, else the root profile's config.yaml, else it is off.
func multiplex(c Config) Source {
	return containerFact("multiplex", byAgent, "whether one gateway serves several profiles", func() multiplexFact {
		return describeMultiplex(c.variables().values["GATEWAY_MULTIPLEX_PROFILES"], read.ReadConfig(c.Root))
	})
}

func describeMultiplex(environment string, config read.Config) multiplexFact {
	f := multiplexFact{Outcome: read.Recorded, Source: "default", ConfigStatus: config.Status, Warnings: []string{}}
	f.Allowlist = config.At("gateway", "multiplex_profile_allowlist").Texts(1000, 255)
	routes := config.At("gateway", "profile_routes")
	f.Routes = max(len(routes.Keys(1000)), len(routes.Texts(1000, 255)))
	on, problem := read.ParseSwitch(environment)
	if problem != "" {
		f.Warnings = append(f.Warnings, "GATEWAY_MULTIPLEX_PROFILES: "+problem)
	}
	if on != nil {
		f.On, f.Source = *on, "environment"
		return f
	}
	if config.Status == policy.StatusInvalid || config.Status == policy.StatusUnreadable {
		f.Outcome = config.Outcome
		return f
	}
	for _, keys := range [][]string{{"gateway", "multiplex_profiles"}, {"multiplex_profiles"}} {
		node := config.At(keys...)
		if _, set := node.Text(); !set {
			continue
		}
		on := node.Bool()
		if on == nil {
			f.Warnings = append(f.Warnings, "config.yaml: "+keys[len(keys)-1]+": want true or false")
			continue
		}
		f.On, f.Source = *on, "config"
		return f
	}
	return f
}
