package reconcile

import (
	"context"
	"fmt"
	"sync"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// collectAndLoad gathers all facts and compiles the rules, side by side. At a boot, rules
// that cannot be used at all leave the pass without an evaluator.
func (p *pass) collectAndLoad(ctx context.Context) error {
	var loadErr error
	var loading sync.WaitGroup
	if p.Extent > ToFacts && p.evaluator == nil {
		loading.Go(func() { p.evaluator, loadErr = p.load(ctx) })
	}
	if p.Input != nil {
		p.report.Situation = engine.Situation{Input: *p.Input}
	} else {
		p.collect(ctx)
	}
	loading.Wait()
	if loadErr != nil && p.Phase == policy.PhaseBoot && p.Extent == ToEnd {
		p.rulesProblem("the built-in rules cannot be used", loadErr)
		return nil
	}
	if loadErr != nil {
		return &RulesError{loadErr}
	}
	if p.report.VolumeErr != nil && p.Extent == ToEnd {
		p.problem("", fmt.Errorf("the facts about profiles are not complete: %w", p.report.VolumeErr))
	}
	return nil
}

func (p *pass) load(ctx context.Context) (engine.Evaluator, error) {
	if p.FallBack {
		return p.Rules.LoadOrFallBack(ctx)
	}
	return p.Rules.Load(ctx)
}

// collect gathers the facts about the container here and those on the volume, both at
// once.
func (p *pass) collect(ctx context.Context) {
	s := engine.Situation{Input: policy.Input{
		SchemaVersion: policy.SchemaVersion,
		Phase:         p.Phase,
		Now:           policy.NewNow(time.Now()),
		Profiles:      map[string]policy.Facts{},
	}}
	var onVolume policy.Facts
	var group sync.WaitGroup
	group.Go(func() {
		onVolume, s.VolumeErr = p.Volume.Collect(ctx, func(profile string, facts policy.Facts) { s.Input.Profiles[profile] = facts })
	})
	collector := engine.Collector{Sources: p.Sources, SourceTimeout: p.SourceTimeout}
	container := collector.Container(ctx)
	group.Wait()
	// The volume's side runs under the agent's user: it adds facts and replaces none.
	for name, value := range onVolume {
		if _, ours := container[name]; !ours {
			container[name] = value
		}
	}
	s.Input.Container = container
	p.report.Situation = s
	p.report.Slots = policy.SlotsOf(container)
}
