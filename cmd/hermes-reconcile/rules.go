package main

import (
	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/cmd/hermes-reconcile/world"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/bundle"
	"hermes-reconcile/rego/process"
)

// compiled compiles in this process the rules that decided in the other one, one
// evaluator a part. For a trace, print() in rules is compiled too.
func compiled(c config.Config, decided *process.Policy, tracing bool) (all []*rego.Evaluator, err error) {
	options := world.PolicyOptions(c)
	options.Trace = tracing
	for _, part := range decided.Parts() {
		e, err := bundle.Load(part.Choice, world.Layers(c), options, c.StateDir)
		if e == nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// explained are rules that decided, for an explanation. Only the process for the rules
// evaluates them.
type explained struct {
	*process.Policy
	texts []*rego.Evaluator // the same rules, to be read
}

// Settings are all settings, without secrets.
func (e *explained) Settings() map[string]any {
	settings, _ := config.WithoutSecrets("", e.texts[0].Settings()).(map[string]any)
	return settings
}

func (e *explained) Setting(key string) any { return e.Settings()[key] }

func (e *explained) Reads(c policy.Contribution, profile string) []policy.Read {
	var reads []policy.Read
	for _, text := range e.texts {
		reads = append(reads, text.Reads(c, profile)...)
	}
	return reads
}
