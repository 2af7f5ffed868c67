package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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

// keepPauses records the pauses of the profiles, or their ends, and decides anew. It returns the
// profiles that are paused or resumed by that. A gateway that is paused already was up when it
// was paused first. No intent changes, and no gateway is told that an operator stops it, because
// it would record that.
func (p *pass) keepPauses(ctx context.Context, names []string) (going []string, err error) {
	if p.refused != nil {
		return nil, fmt.Errorf("only root pauses and resumes: %w", p.refused)
	}
	slots := p.report.Slots.ByProfile()
	now := time.Unix(0, p.report.Input.Now.UnixNS)
	fact, err := p.KeepPauses(func(all *policy.Pauses) {
		for _, name := range names {
			was, exists := all.Of(name)
			isPaused := exists && !was.Ended
			pause := p.Request.Pause
			switch {
			case p.Request.Kind == Resume && !isPaused:
				p.report.conclude(name, "not paused")
				continue
			case p.Request.Kind == Resume:
				pause = was
				pause.Until = now.UTC().Format(time.RFC3339)
			case isPaused:
				pause.AtUnix, pause.Up = was.AtUnix, was.Up
			default:
				pause.AtUnix, pause.Up = now.Unix(), slots[name].WantedUp
			}
			all.Profiles[name] = pause
			going = append(going, name)
		}
		if p.Request.All {
			all.Others = nil
		}
		if p.Request.All && p.Request.Kind == Pause {
			all.Others = new(p.Request.Pause)
			all.Others.AtUnix = now.Unix()
		}
	}, p.isDry())
	if err != nil {
		return nil, fmt.Errorf("the pauses: %w", err)
	}
	p.replaceFact("pauses", fact, policy.PausesFile)
	for _, name := range going {
		p.report.Profiles[name].Recorded = true
	}
	p.decideAbout(ctx, going)
	p.heldOrAsBefore(going)
	return going, nil
}

// heldOrAsBefore makes a pause that does not keep a profile down a problem, and decides that what
// was down before a pause stays down.
func (p *pass) heldOrAsBefore(names []string) {
	decisions, pauses := p.report.Decisions.Profiles, policy.PausesOf(p.report.Input.Container)
	for _, name := range names {
		d := decisions[name]
		holds := engine.Holds(d, p.report.Input.Now)
		isHeld := slices.ContainsFunc(holds, func(c policy.Contribution) bool { return c.Rule == engine.RulePaused })
		switch {
		case p.Request.Kind == Pause && !isHeld && pauses.Profiles[name].Ended:
			p.report.note(name, "its pause is over already")
		case p.Request.Kind == Pause && !isHeld:
			p.problem(name, fmt.Errorf("its pause does not count: the rule %s is waived or switched off", engine.RulePaused))
		case p.Request.Kind == Resume && d.Action == policy.ActionStart && !pauses.Profiles[name].Up:
			d.Action, d.Code, d.Reason = policy.ActionDown, codeWasDown, "it was down before it was paused"
			decisions[name] = d
		}
	}
}

// codeWasDown is the code of a gateway that stays down after a pause.
const codeWasDown = "was_down"
