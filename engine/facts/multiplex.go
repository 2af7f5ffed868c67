package facts

import (
	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
)

type multiplexFact struct {
	read.Outcome
	On           bool     `json:"on" about:"one gateway serves several profiles; false too when the status is invalid or unreadable"`
	Source       string   `json:"source" about:"what decided: GATEWAY_MULTIPLEX_PROFILES in the environment or in a .env; config.yaml of the root profile (config) or of the administrator (managed); or nothing" words:"managed,.env,environment,config,default"`
	ConfigStatus string   `json:"config_status" about:"how reading config.yaml of the root profile went" words:"status"`
	Allowlist    []string `json:"allowlist,omitempty" about:"gateway.multiplex_profile_allowlist of config.yaml, which older images know; absent when not set" of:"profile"`
	Routes       int      `json:"routes" about:"number of entries in gateway.profile_routes of config.yaml"`
	Warnings     []string `json:"warnings" about:"settings with a value that is not valid, so they count as unset" of:"the setting, and which values are valid"`
}

const multiplexVariable = "GATEWAY_MULTIPLEX_PROFILES"

// multiplex is whether the root profile's gateway serves the other profiles. The variable
// decides if it is set and valid, else config.yaml, else it is off.
func multiplex(s setup) multiplexFact {
	config := s.config
	f := multiplexFact{Outcome: read.Recorded, Source: fromDefault, ConfigStatus: config.Status, Warnings: []string{}}
	allowlist, _ := s.key("gateway", "multiplex_profile_allowlist")
	f.Allowlist = allowlist.Texts(1000, 255)
	routes, _ := s.key("gateway", "profile_routes")
	f.Routes = max(len(routes.Keys(1000)), len(routes.Texts(1000, 255)))
	value, source := s.variable(multiplexVariable)
	on, problem := read.ParseSwitch(value)
	if problem != "" {
		f.Warnings = append(f.Warnings, multiplexVariable+": "+problem)
	}
	if on != nil {
		f.On, f.Source = *on, source
		return f
	}
	for _, keys := range [][]string{{"gateway", "multiplex_profiles"}, {"multiplex_profiles"}} {
		node, source := s.key(keys...)
		if _, set := node.Text(); !set {
			continue
		}
		on := node.Bool()
		if on == nil {
			f.Warnings = append(f.Warnings, "config.yaml: "+keys[len(keys)-1]+": want true or false")
			continue
		}
		if f.On, f.Source = *on, "config"; source == fromManaged {
			f.Source = fromManaged
		}
		return f
	}
	if config.Status == policy.StatusInvalid || config.Status == policy.StatusUnreadable {
		f.Outcome = config.Outcome
	}
	return f
}
