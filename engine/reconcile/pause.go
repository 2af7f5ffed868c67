package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

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
