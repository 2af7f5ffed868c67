package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// raise brings up the profiles of a request, or makes their slots, where the rules let it. A
// pause begins and ends in the same way.
func (p *pass) raise(ctx context.Context) error {
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
	switch {
	case p.Request.Override || p.Request.Kind == Release:
		p.liftHolds(ctx, names)
		p.decideAbout(ctx, names)
	case p.Request.pauses():
		if names, err = p.keepPauses(ctx, names); err != nil {
			return err
		}
	}
	before := p.report.Slots.ByProfile()
	names = p.withSlot(ctx, p.permitted(names, before), before)
	var recorded []string
	if p.Request.records() {
		recorded = p.noted(engine.IntentRunning, p.takeNotes(ctx, names, engine.IntentRunning, nil))
	}
	o := policy.PlanOptions{Live: true, Rescan: true, UpFor: p.Execute.UpFor}
	switch p.Request.Kind {
	case Restart:
		o.Restart = names
	case Start:
		o.Start = names
	}
	all := p.report.Decisions
	p.report.Decisions.Profiles = maps.Clone(all.Profiles)
	maps.DeleteFunc(p.report.Decisions.Profiles, func(name string, _ policy.Decision) bool { return !slices.Contains(names, name) })
	p.plan(ctx, o)
	if p.isDry() {
		p.report.Decisions = all
		return nil
	}
	begun := time.Now()
	p.execute(ctx, p.report.Plan.Operations)
	p.report.Decisions = all
	p.failWithoutSlot(ctx, names)
	p.follow(ctx, recorded, engine.IntentRunning)
	p.letOthersIn()
	p.heed(ctx, names, before, begun.Add(p.Execute.Wait))
	p.raised(ctx, names, before)
	return p.finish(ctx)
}

// choose decides, and returns the profiles that the request means.
func (p *pass) choose(ctx context.Context) ([]string, error) {
	names := p.Request.Profiles
	if p.Request.All {
		names = p.everyProfile(ctx)
	} else if err := p.report.OrUncertain(engine.CheckNames(names, slices.Collect(maps.Keys(p.report.Input.Profiles)))); err != nil {
		return nil, err
	}
	p.decideAbout(ctx, names)
	return names, nil
}

// decideAbout decides, and notes what is decided about the named profiles.
func (p *pass) decideAbout(ctx context.Context, names []string) {
	p.decide(ctx, names)
	for _, name := range names {
		if p.report.Profiles[name] == nil {
			p.report.Profiles[name] = &Outcome{}
		}
		d, o := p.report.Decisions.Profiles[name], p.report.Profiles[name]
		o.Code, o.Reason = d.Code, d.Reason
	}
}

// everyProfile returns the profiles that All means: those that may start, for Start; those
// that are up, for Restart; those that are held, for Release; those without a slot, for
// Register.
func (p *pass) everyProfile(ctx context.Context) []string {
	all := slices.Sorted(maps.Keys(p.report.Input.Profiles))
	p.decide(ctx, all)
	slots, pauses := p.report.Slots.ByProfile(), policy.PausesOf(p.report.Input.Container)
	return slices.DeleteFunc(all, func(name string) bool {
		d := p.report.Decisions.Profiles[name]
		slot, exists := slots[name]
		switch p.Request.Kind {
		case Pause:
			return d.Action == policy.ActionSkip
		case Resume:
			pause, paused := pauses.Of(name)
			return !paused || pause.Ended
		case Restart:
			return !slot.Up
		case Release:
			return d.Action != policy.ActionDown || !slices.ContainsFunc(engine.Holds(d, p.report.Input.Now), func(c policy.Contribution) bool { return c.Rule != engine.RulePaused })
		case Register:
			return exists || d.Action == policy.ActionSkip
		}
		return d.Action != policy.ActionStart
	})
}

// permitted returns the profiles that the rules let go on, and reports the others.
func (p *pass) permitted(names []string, slots map[string]policy.Slot) []string {
	var going []string
	for _, name := range names {
		outcome := p.report.Profiles[name]
		d := p.report.Decisions.Profiles[name]
		// A slot without a supervisor is what an interrupted run left.
		slot, exists := slots[name]
		switch {
		case p.Request.pauses():
			going = append(going, name)
		case p.Request.Kind == Register && exists && slot.Now() != policy.NowNobody:
			p.report.conclude(name, "has its slot")
		case p.Request.Kind == Release && !outcome.Recorded && len(outcome.Errors) == 0:
			p.report.conclude(name, "not held")
		case len(outcome.Errors) > 0: // its holds could not be lifted
			p.report.conclude(name, refused)
		case d.Action == policy.ActionStart, d.Action == policy.ActionDown && !p.Request.records():
			going = append(going, name)
		default:
			p.problem(name, refusal(p.report.Decisions, name))
			p.report.conclude(name, refused)
		}
	}
	return going
}

// refusal explains why a profile must not start, and what would help.
func refusal(d policy.Decisions, name string) error {
	p := d.Profiles[name]
	switch {
	case len(d.Skip) > 0:
		return fmt.Errorf("this container supervises nothing: %s (%s)", d.Skip[0].Reason, d.Skip[0].Location)
	case p.Undecided:
		return errors.New(p.Reason)
	case p.Action == policy.ActionSkip:
		return fmt.Errorf("it gets no slot: %s (%s)", p.Reason, p.Code)
	case p.Code == policy.CodeNoStartRule:
		return fmt.Errorf("no rule starts it: %s", p.Reason)
	}
	for _, c := range p.Contributions {
		if c.Set == policy.SetHold && c.Code == p.Code && c.Reason == p.Reason {
			until := ""
			if c.Until != "" {
				until = " until " + c.Until
			}
			if c.Rule == engine.RulePaused {
				return fmt.Errorf("it is paused%s: %s; end the pause with: hermes-reconcile resume %s", until, p.Reason, name)
			}
			return fmt.Errorf("it is held%s: %s (%s, %s); start it in spite of the hold with --override, or end the hold with: hermes-reconcile release %s",
				until, p.Reason, c.Rule, c.Location, name)
		}
	}
	return fmt.Errorf("it is held: %s (%s)", p.Reason, p.Code)
}

// withSlot leaves out the profiles without a slot where this user can make none, and no watch
// makes one.
func (p *pass) withSlot(ctx context.Context, names []string, slots map[string]policy.Slot) []string {
	lacks := func(name string) bool { _, exists := slots[name]; return !exists }
	if p.refused == nil || !slices.ContainsFunc(names, lacks) {
		return names
	}
	if p.Request.Kind != Register { // else it was asked already
		p.askWatch(ctx)
	}
	slots = p.Slots.Slots(ctx).ByProfile()
	return slices.DeleteFunc(names, func(name string) bool {
		exists := !lacks(name)
		if !exists {
			p.problem(name, cannotMakeSlot(name))
			p.report.conclude(name, refused)
		}
		return !exists
	})
}

// failWithoutSlot reports the profiles that got no slot, for want of room for example.
func (p *pass) failWithoutSlot(ctx context.Context, names []string) {
	now := p.Slots.Slots(ctx)
	slots := now.ByProfile()
	for _, name := range names {
		if _, exists := slots[name]; !now.Known() || exists || len(p.report.Profiles[name].Errors) > 0 {
			continue
		}
		err := errors.New("it has no slot: see alarms and errors")
		if p.refused != nil { // root removed it meanwhile
			err = cannotMakeSlot(name)
		}
		p.problem(name, err)
	}
}

func cannotMakeSlot(name string) error {
	return fmt.Errorf("it has no slot, and this user cannot make one: as root, hermes-reconcile register %s", name)
}

// raised concludes what became of the profiles.
func (p *pass) raised(ctx context.Context, names []string, before map[string]policy.Slot) {
	now := p.Slots.Slots(ctx).ByProfile()
	for _, name := range names {
		p.report.conclude(name, p.raisedWords(before[name], now[name], p.report.Decisions.Profiles[name]))
	}
}

func (p *pass) raisedWords(before, now policy.Slot, d policy.Decision) string {
	switch {
	case p.Request.Kind == Pause && now.Up:
		return "asked to stop"
	case p.Request.Kind == Pause && before.Up:
		return "paused"
	case p.Request.Kind == Pause:
		return "paused, and was down"
	case p.Request.Kind == Resume && d.Action != policy.ActionStart:
		return "resumed, and down: " + d.Reason
	case p.Request.Kind == Resume && now.Up && now.WaitingUntilUnix == 0:
		return "resumed, " + now.Now()
	case p.Request.Kind == Register && d.Action == policy.ActionStart:
		return "registered, " + now.Now()
	case p.Request.Kind == Register:
		return "registered, down: " + d.Reason
	case now.Up && now.WaitingUntilUnix > 0:
		return "starts at " + time.Unix(now.WaitingUntilUnix, 0).UTC().Format(time.RFC3339)
	case p.Request.Kind == Release && d.Action != policy.ActionStart:
		return "released, and down: " + d.Reason
	case p.Request.Kind == Release:
		return "released, " + now.Now()
	case !before.Up && now.Up:
		return "started"
	case p.Request.Kind == Restart && before.Up && now.Up && (before.PID != now.PID || before.SinceUnix != now.SinceUnix):
		return "restarted"
	case now.Up:
		return "already up"
	}
	return "asked to start"
}
