package world

import (
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/bundle"
	"hermes-reconcile/rego/process"
)

// Rules are the rules of a configuration, which run in a process of their own. The caller
// closes them.
func Rules(c config.Config) *process.Rules {
	return &process.Rules{Configure: func() process.Settings { return RulesSettings(c) }}
}

// RulesSettings are those of the process that runs the rules.
func RulesSettings(c config.Config) process.Settings {
	return process.Settings{Sources: Sources(c), Options: PolicyOptions(c)}
}

// Sources are where the operator's rules are.
func Sources(c config.Config) bundle.Sources {
	return bundle.Sources{
		Policy: c.Policy, User: c.Distrusted, StateDir: c.StateDir, Keys: c.PolicyKeys, Require: c.RequireSignature, MaxBytes: int64(c.Bundles.MaxBytes),
	}
}

// PolicyOptions are what compiling the rules needs of the configuration.
func PolicyOptions(c config.Config) rego.Options {
	o := rego.Options{Settings: c.Settings, Places: c.SettingPlaces(), Timeout: c.PolicyTimeout, Memory: int64(c.PolicyMemory)}
	if len(c.Policy) > 0 {
		o.Schema = policy.InputSchema
	}
	return o
}
