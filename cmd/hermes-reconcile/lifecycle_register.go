package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"hermes-reconcile/policy"
)

// register makes the slots of profiles that have none.
func register(cmd *cobra.Command, f liveFlags, names []string) error {
	r, ctx, err := openLive(cmd, "register", f)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.loadRules(); err != nil {
		return err
	}
	s := r.collect(ctx)
	if s.volumeErr != nil {
		return &exitError{exitProfile, fmt.Errorf("the profiles cannot be known: %w", s.volumeErr)}
	}
	d := r.decide(ctx, s, nil)
	slots := readSlots(s.input.Container["s6"])
	if f.all {
		names = slices.DeleteFunc(sortedNames(d.Profiles), func(name string) bool {
			_, there := slots.profiles[name]
			return there || d.Profiles[name].Action == policy.ActionSkip
		})
	} else if err := resolve(names, sortedNames(d.Profiles), seenSlots{}); err != nil {
		return err
	}
	var fresh []string
	for _, name := range names {
		p := d.Profiles[name]
		r.report.Profiles[name] = liveProfile{Code: p.Code, Reason: p.Reason, Outcome: "has its slot"}
		// A slot that nobody supervises is what an interrupted run left.
		if slot, there := slots.profiles[name]; there && slot.now() != nowNobody {
			continue
		}
		if p.Action == policy.ActionSkip {
			r.report.fail(name, refusal(d, name))
			r.setOutcome(name, "refused")
			continue
		}
		fresh = append(fresh, name)
	}
	fresh = r.whoHasASlot(fresh, slots)
	r.makeSo(ctx, decisionsAbout(d, fresh))
	now := r.slots(ctx)
	for _, name := range fresh {
		slot, there := now.profiles[name]
		switch {
		case !there:
			r.report.fail(name, errNoSlot)
			r.setOutcome(name, "failed")
		case d.Profiles[name].Action == policy.ActionStart:
			r.setOutcome(name, "registered, "+slot.now())
		default:
			r.setOutcome(name, "registered, down: "+d.Profiles[name].Reason)
		}
	}
	return r.finish(ctx, cmd, s, d)
}

// whoHasASlot leaves out the profiles without a slot where this user can make none.
func (r *liveRun) whoHasASlot(names []string, slots seenSlots) []string {
	if r.locked {
		return names
	}
	return slices.DeleteFunc(names, func(name string) bool {
		_, there := slots.profiles[name]
		if !there {
			r.report.fail(name, noSlotFor(name))
			r.setOutcome(name, "refused")
		}
		return !there
	})
}

// failWithoutSlot reports who got no slot, for want of room for example.
func (r *liveRun) failWithoutSlot(ctx context.Context, names []string) {
	now := r.slots(ctx)
	for _, name := range names {
		if _, there := now.profiles[name]; !now.known() || there || len(r.report.Profiles[name].Errors) > 0 {
			continue
		}
		if r.locked {
			r.report.fail(name, errNoSlot)
			continue
		}
		r.report.fail(name, noSlotFor(name)) // root removed it meanwhile
	}
}

// noSlotFor is the error of a user who can make none.
func noSlotFor(name string) error {
	return fmt.Errorf("it has no slot, and this user cannot make one: as root, hermes-reconcile register %s", name)
}

var errNoSlot = errors.New("it has no slot: see alarms and errors")
