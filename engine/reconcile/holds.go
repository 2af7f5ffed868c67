package reconcile

import (
	"context"
	"fmt"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// decideWithoutHolds lifts the holds of the profiles and decides again, on new facts
// where something was lifted.
func (p *pass) decideWithoutHolds(ctx context.Context, names []string) {
	if p.liftHolds(ctx, names) {
		p.collect(ctx)
		p.reportDistrust()
	}
	p.decideAbout(ctx, names)
}

// liftHolds ends the holds of profiles: the record of a used-up budget is removed, and the
// hold of a rule is set aside by an override. It reports whether anything changed.
func (p *pass) liftHolds(ctx context.Context, names []string) (changed bool) {
	var overrides []policy.Override
	now := policy.NewNow(time.Now())
	for _, name := range names {
		for _, hold := range engine.Holds(p.report.Decisions.Profiles[name], now) {
			if hold.Rule != engine.RuleRestartBudget {
				overrides = append(overrides, policy.Override{
					Profile: name, Rule: hold.Rule, Code: hold.Code, Until: hold.Until,
					AtUnix: now.UnixNS / int64(time.Second), Command: p.Command,
				})
				continue
			}
			done, err := p.Volume.Change(ctx, engine.Change{Kind: engine.RemoveHold, Profile: name})
			if err != nil {
				p.problem(name, fmt.Errorf("release it from %s: %w", hold.Code, err))
				continue
			}
			changed = changed || done.Changed
			p.lifted(name, hold.Rule, hold.Code)
		}
	}
	if len(overrides) == 0 {
		return changed
	}
	err := p.KeepOverrides(overrides)
	for _, o := range overrides {
		if err != nil {
			p.problem(o.Profile, fmt.Errorf("set the hold of %s aside: %w", o.Rule, err))
			continue
		}
		p.lifted(o.Profile, o.Rule, o.Code)
	}
	return changed || err == nil
}

func (p *pass) lifted(name, rule, code string) {
	p.report.note(name, fmt.Sprintf("the hold of %s (%s) is set aside", rule, code))
	p.report.set(name, func(o *Outcome) { o.Recorded = true })
}

// reportDistrust reports that the list of overrides, which was just written, is not
// believed, because others could have written it.
func (p *pass) reportDistrust() {
	if status, why := p.report.Input.Container.Status("overrides"); status == policy.StatusUnreadable {
		p.problem("", fmt.Errorf("%s is not believed: %s", policy.OverridesFile, why))
	}
}
