package main

import (
	"fmt"
	"maps"
	"time"

	"hermes-reconcile/cmd/hermes-reconcile/config"
	"hermes-reconcile/engine"
	"hermes-reconcile/engine/explain"
	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
	"hermes-reconcile/rego"
	"hermes-reconcile/rego/bundle"
)

// rules are the rules of a configuration, as a pass and an explanation want them.
type rules struct {
	config   config.Config
	printing bool // print() in rules is compiled
}

func (r *rules) options() (rego.Options, error) {
	o, err := policyOptions(r.config)
	o.Print = r.printing
	return o, err
}

// policyOptions are what compiling the rules needs of the configuration.
func policyOptions(c config.Config) (rego.Options, error) {
	o := rego.Options{Settings: c.Settings, Timeout: c.PolicyTimeout, Memory: int64(c.PolicyMemory)}
	if len(c.Policy) == 0 {
		return o, nil
	}
	schema, err := inputSchema()
	o.Schema = schema
	return o, err
}

func (r *rules) Load() (engine.Evaluator, error) {
	return evaluator(r.load())
}

func (r *rules) load() (*rego.Evaluator, error) {
	options, err := r.options()
	if err != nil {
		return nil, err
	}
	return rego.Load(layers(r.config), options)
}

// loadPolicy compiles the present rules for a command that shows them.
func loadPolicy(c config.Config) (*rego.Evaluator, error) {
	e, err := (&rules{config: c}).load()
	if err != nil {
		return nil, passError(&reconcile.RulesError{Err: err})
	}
	return e, nil
}

func (r *rules) LoadOrFallBack() (engine.Evaluator, error) {
	options, err := r.options()
	if err != nil {
		return nil, err
	}
	return evaluator(bundle.LoadOrFallBack(layers(r.config), options, r.config.StateDir))
}

// evaluator keeps a nil pointer from becoming an interface that is not nil.
func evaluator(e *rego.Evaluator, err error) (engine.Evaluator, error) {
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (r *rules) LastGood(revision string) (engine.Evaluator, bool) {
	kept, err := bundle.Read(r.config.StateDir)
	if err != nil || kept.Revision == revision {
		return nil, false
	}
	options, err := r.options()
	if err != nil {
		return nil, false
	}
	e, err := kept.Load(rego.BuiltIn(), options)
	return e, err == nil
}

func (r *rules) Gone() []string {
	if len(r.config.Policy) > 0 {
		return nil
	}
	kept, err := bundle.Read(r.config.StateDir)
	if err != nil {
		return nil
	}
	return kept.Directories()
}

func (r *rules) Keep(e engine.Evaluator) error {
	own, ok := e.(*rego.Evaluator)
	if !ok || r.config.StateDir == "" {
		return nil
	}
	if err := bundle.Save(r.config.StateDir, own, time.Now()); err != nil {
		return fmt.Errorf("state_dir %s: %w", r.config.StateDir, err)
	}
	return nil
}

// explained are rules that decided, for an explanation.
type explained struct {
	*rego.Evaluator
	config config.Config
}

func (e explained) Reads(c policy.Contribution, profile string) []explain.Read {
	var reads []explain.Read
	for _, r := range e.Evaluator.Reads(c, profile) {
		reads = append(reads, explain.Read{Path: r.Path, Setting: r.Setting})
	}
	return reads
}

func (e explained) WithSetting(key string, value any) (engine.Evaluator, error) {
	c := e.config
	c.Settings = maps.Clone(c.Settings)
	if c.Settings == nil {
		c.Settings = map[string]any{}
	}
	c.Settings[key] = value
	return (&rules{config: c}).Load()
}
