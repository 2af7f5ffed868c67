package reconcile

import (
	"context"
	"fmt"
	"sync"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/wait"
)

// collectAndLoad gathers all facts and compiles the rules, side by side. At a boot, rules
// that cannot be used at all leave the pass without an evaluator.
func (p *pass) collectAndLoad(ctx context.Context) error {
	defer wait.For(ctx, "facts and rules", 0)()
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
	if !p.At.IsZero() {
		p.report.Input.Now = policy.NewNow(p.At)
	}
	loading.Wait()
	if loadErr != nil && p.Phase == policy.PhaseBoot && p.Extent == ToEnd {
		p.rulesProblem("the built-in rules cannot be used", loadErr.Error())
		return nil
	}
	if loadErr != nil {
		return &RulesError{loadErr}
	}
	if p.report.VolumeErr != nil && p.Extent == ToEnd {
		what := "the facts about profiles are not complete"
		if len(p.report.Input.Profiles) == 0 {
			what = "no slot is made, because no profile is known: the volume cannot be read"
		}
		p.problem("", fmt.Errorf("%s: %w", what, p.report.VolumeErr))
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
// once, and then those of the plug-ins.
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
	// The plug-ins are asked about the profiles, and have no share in the time of the others.
	if p.External != nil {
		p.External(ctx, &s.Input)
	}
	p.report.Slots = policy.SlotsOf(container)
	if why := s.Uncertain(); why != "" {
		s.Input.Unread = map[string]string{}
		for _, name := range ownSlots(p.report.Slots) {
			if _, read := s.Input.Profiles[name]; !read {
				s.Input.Profiles[name], s.Input.Unread[name] = policy.Facts{}, why
			}
		}
	}
	p.report.Situation = s
}
