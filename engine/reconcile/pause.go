package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// pause keeps the gateways of a request down, or ends that: what was up comes up again, and
// what was down stays down. No intent changes, and no gateway is told that an operator stops
// it, because it would record that.
func (p *pass) pause(ctx context.Context) error {
	if p.refused != nil {
		return fmt.Errorf("only root pauses and resumes: %w", p.refused)
	}
	if err := p.collectAndLoad(ctx); err != nil {
		return err
	}
	if p.report.VolumeErr != nil {
		return fmt.Errorf("the profiles cannot be known: %w", p.report.VolumeErr)
	}
	names, err := p.choose(ctx)
	if err != nil {
		return err
	}
	before := p.report.Slots.ByProfile()
	if names, err = p.keepPauses(names, before); err != nil {
		return err
	}
	p.decideAbout(ctx, names)
	all := p.report.Decisions
	p.report.Decisions.Profiles = p.heldOrAsBefore(names)
	p.plan(ctx, policy.PlanOptions{Live: true, Rescan: true, UpFor: p.Execute.UpFor})
	if p.isDry() {
		return nil
	}
	begun := time.Now()
	p.execute(ctx, p.report.Plan.Operations)
	p.letOthersIn()
	if p.Request.Kind == Resume {
		p.heed(ctx, names, before, begun.Add(p.Execute.Wait))
	}
	now := p.Slots.Slots(ctx).ByProfile()
	for _, name := range names {
		d := p.report.Decisions.Profiles[name]
		all.Profiles[name] = d
		p.report.conclude(name, p.pausedWords(d, before[name], now[name]))
	}
	p.report.Decisions = all
	return p.finish(ctx)
}

// keepPauses records the pauses of the profiles, or their ends, and returns those that are
// paused or resumed by that. A gateway that is paused already was up when it was paused first.
func (p *pass) keepPauses(names []string, slots map[string]policy.Slot) (going []string, err error) {
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
		p.report.set(name, func(o *Outcome) { o.Recorded = true })
	}
	return going, nil
}

// heldOrAsBefore returns the decisions about the profiles. A pause that does not keep a profile
// down is a problem. After a pause, what was down stays down.
func (p *pass) heldOrAsBefore(names []string) map[string]policy.Decision {
	decisions := about(p.report.Decisions.Profiles, names)
	pauses := policy.PausesOf(p.report.Input.Container)
	for name, d := range decisions {
		holds := engine.Holds(d, p.report.Input.Now)
		isHeld := slices.ContainsFunc(holds, func(c policy.Contribution) bool { return c.Rule == engine.RulePaused })
		switch {
		case p.Request.Kind == Pause && !isHeld:
			p.problem(name, fmt.Errorf("its pause does not count: the rule %s is waived or switched off", engine.RulePaused))
		case p.Request.Kind == Resume && d.Action == policy.ActionStart && !pauses.Profiles[name].Up:
			d.Action, d.Code, d.Reason = policy.ActionDown, codeWasDown, "it was down before it was paused"
			decisions[name] = d
		}
	}
	return decisions
}

// codeWasDown is the code of a gateway that stays down after a pause.
const codeWasDown = "was_down"

func (p *pass) pausedWords(d policy.Decision, before, now policy.Slot) string {
	switch {
	case p.Request.Kind == Pause && now.Up:
		return "asked to stop"
	case p.Request.Kind == Pause && before.Up:
		return "paused"
	case p.Request.Kind == Pause:
		return "paused, and was down"
	case now.Up:
		return "resumed, " + now.Now()
	case d.Action == policy.ActionStart:
		return "asked to start"
	}
	return "resumed, and down: " + d.Reason
}
