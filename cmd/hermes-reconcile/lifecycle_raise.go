package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// A wish is what somebody wants of profiles that are to be up.
type wish struct {
	names    []string
	override bool // holds do not count
	restart  bool
	release  bool // end holds; the intent stays as it is
}

// raise brings profiles up, where the rules let it.
func raise(cmd *cobra.Command, f liveFlags, command string, w wish) error {
	r, ctx, err := openLive(cmd, command, f)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.loadRules(); err != nil {
		return err
	}
	if w.override {
		r.command += " --override"
	}
	s := r.collect(ctx)
	if s.volumeErr != nil {
		return &exitError{exitProfile, fmt.Errorf("the profiles cannot be known: %w", s.volumeErr)}
	}
	d, names, err := r.whom(ctx, s, w, f.all)
	if err != nil {
		return err
	}
	if w.override || w.release {
		if r.liftHolds(ctx, d, names) {
			s = r.collect(ctx)
			r.sayDisbelief(s)
		}
		d, _, err = r.whom(ctx, s, wish{names: names, release: w.release}, false)
		if err != nil {
			return err
		}
	}
	before := readSlots(s.input.Container["s6"])
	going := r.whoHasASlot(r.mayStart(d, names, w), before)
	var recorded []string
	if !w.release {
		recorded = r.recordIntents(ctx, going, intentRunning)
	}
	switch {
	case w.restart:
		r.executor.Restart = going
	case !w.release:
		r.executor.Start = going
	}
	r.makeSo(ctx, decisionsAbout(d, going))
	r.failWithoutSlot(ctx, going)
	r.follow(ctx, recorded, intentRunning)
	now := r.slots(ctx)
	for _, name := range going {
		r.setOutcome(name, raisedWords(before.profiles[name], now.profiles[name], w, d.Profiles[name]))
	}
	return r.finish(ctx, cmd, s, d)
}

// whom decides, and returns the profiles that are meant.
func (r *liveRun) whom(ctx context.Context, s situation, w wish, all bool) (policy.Decisions, []string, error) {
	names := w.names
	if all {
		names = r.everybody(ctx, s, w)
	} else if err := resolve(names, sortedNames(s.input.Profiles), seenSlots{}); err != nil {
		return policy.Decisions{}, nil, err
	}
	wanting := names
	if w.release {
		wanting = nil
	}
	d := r.decide(ctx, s, wanting)
	for _, name := range names {
		p := r.report.Profiles[name]
		p.Code, p.Reason = d.Profiles[name].Code, d.Profiles[name].Reason
		r.report.Profiles[name] = p
	}
	return d, names, nil
}

// everybody is who --all means: those that are up, to restart them; those that are
// held, to release them; those that may start, to start them.
func (r *liveRun) everybody(ctx context.Context, s situation, w wish) []string {
	slots := readSlots(s.input.Container["s6"])
	wanting := sortedNames(s.input.Profiles)
	if w.release {
		wanting = nil
	}
	d := r.decide(ctx, s, wanting)
	return slices.DeleteFunc(sortedNames(s.input.Profiles), func(name string) bool {
		decision := d.Profiles[name]
		switch {
		case w.restart:
			return !slots.profiles[name].Up
		case w.release:
			return decision.Action != policy.ActionDown || len(engine.Holds(decision, s.input.Now)) == 0
		}
		return decision.Action != policy.ActionStart
	})
}

// mayStart returns the profiles that the rules let start, and reports the others as
// refused.
func (r *liveRun) mayStart(d policy.Decisions, names []string, w wish) []string {
	var going []string
	for _, name := range names {
		p := d.Profiles[name]
		if w.release && !r.report.Profiles[name].Recorded && len(r.report.Profiles[name].Errors) == 0 {
			r.setOutcome(name, "not held")
			continue
		}
		if p.Action == policy.ActionStart || w.release && p.Action == policy.ActionDown && len(r.report.Profiles[name].Errors) == 0 {
			going = append(going, name)
			continue
		}
		if len(r.report.Profiles[name].Errors) == 0 {
			r.report.fail(name, refusal(d, name))
		}
		r.setOutcome(name, "refused")
	}
	return going
}

// refusal says why a profile must not start, and what would help.
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
			return fmt.Errorf("it is held%s: %s (%s, %s); start it all the same with --override, or end the hold with: hermes-reconcile release %s",
				until, p.Reason, c.Rule, c.Location, name)
		}
	}
	return fmt.Errorf("it is held: %s (%s)", p.Reason, p.Code)
}

// raisedWords say what became of a profile that should be up.
func raisedWords(before, now seenSlot, w wish, d policy.Decision) string {
	switch {
	case now.Up && now.Waiting > 0:
		return "starts at " + time.Unix(now.Waiting, 0).UTC().Format(time.RFC3339)
	case w.release && d.Action != policy.ActionStart:
		return "released, and down: " + d.Reason
	case w.release:
		return "released, " + now.now()
	case !before.Up && now.Up:
		return "started"
	case w.restart && before.Up && now.Up && (before.PID != now.PID || before.SinceUnix != now.SinceUnix):
		return "restarted"
	case now.Up:
		return "already up"
	}
	return "asked to start"
}

// decisionsAbout keeps the decisions about the named profiles.
func decisionsAbout(d policy.Decisions, names []string) policy.Decisions {
	some := map[string]policy.Decision{}
	for _, name := range names {
		some[name] = d.Profiles[name]
	}
	d.Profiles = some
	d.Alarms = slices.Clone(d.Alarms)
	return d
}
