package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// liftHolds ends the holds of profiles: the record of a used-up budget is removed, and the
// hold of a rule is set aside by an override. The facts of the pass are as they are then.
func (p *pass) liftHolds(ctx context.Context, names []string) {
	var overrides []policy.Override
	now := policy.NewNow(time.Now())
	for _, name := range names {
		for _, hold := range engine.Holds(p.report.Decisions.Profiles[name], now) {
			if hold.Rule == engine.RulePaused {
				p.problem(name, fmt.Errorf("it is paused: %s; end the pause with: hermes-reconcile resume %s", hold.Reason, name))
				continue
			}
			if hold.Rule != engine.RuleRestartBudget {
				overrides = append(overrides, policy.Override{
					Profile: name, Rule: hold.Rule, Code: hold.Code, Until: hold.Until,
					AtUnix: now.UnixNS / int64(time.Second), Command: p.Command,
				})
				continue
			}
			if err := p.endBudget(ctx, name); err != nil {
				p.problem(name, fmt.Errorf("release it from %s: %w", hold.Code, err))
				continue
			}
			p.lifted(name, hold.Rule, hold.Code)
		}
	}
	if len(overrides) == 0 {
		return
	}
	fact, err := p.KeepOverrides(overrides, p.isDry())
	p.replaceFact("overrides", fact, policy.OverridesFile)
	for _, o := range overrides {
		if err != nil {
			p.problem(o.Profile, fmt.Errorf("set the hold of %s aside: %w", o.Rule, err))
			continue
		}
		p.lifted(o.Profile, o.Rule, o.Code)
	}
}

// endBudget removes the record of a used-up budget.
func (p *pass) endBudget(ctx context.Context, name string) error {
	if !p.isDry() {
		if _, err := p.Volume.Change(ctx, engine.Change{Kind: engine.RemoveHold, Profile: name}); err != nil {
			return err
		}
	}
	facts := maps.Clone(p.report.Input.Profiles[name])
	facts["restart_hold"] = json.RawMessage(`{"status":"missing"}`)
	p.report.Input.Profiles = maps.Clone(p.report.Input.Profiles) // an evaluator knows a document by its maps
	p.report.Input.Profiles[name] = facts
	return nil
}

func (p *pass) lifted(name, rule, code string) {
	p.report.note(name, fmt.Sprintf("the hold of %s (%s) is set aside", rule, code))
	p.report.Profiles[name].Recorded = true
}

// replaceFact makes a fact about the container what was just written. It reports that the file
// is not believed, because others could have written it. Without a value the fact stays.
func (p *pass) replaceFact(name string, value json.RawMessage, file string) {
	if value == nil {
		return
	}
	p.report.Input.Container = maps.Clone(p.report.Input.Container) // see endBudget
	p.report.Input.Container[name] = value
	if status, why := p.report.Input.Container.Status(name); status == policy.StatusUnreadable {
		p.problem("", fmt.Errorf("%s is not believed: %s", file, why))
	}
}
