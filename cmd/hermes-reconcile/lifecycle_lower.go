package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"hermes-reconcile/engine"
	"hermes-reconcile/engine/ledger"
	"hermes-reconcile/policy"
	"hermes-reconcile/s6"
)

// lower stops profiles, and for unregister removes their slots. It works without
// rules, and without the volume as far as that goes.
func lower(cmd *cobra.Command, f liveFlags, command string, names []string) error {
	r, ctx, err := openLive(cmd, command, f)
	if err != nil {
		return err
	}
	defer r.close()
	slots := r.slots(ctx)
	if !slots.known() {
		return &exitError{exitProfile, fmt.Errorf("the scan directory %s is %s", r.config.ScanDir, slots.Status)}
	}
	if f.all {
		names = ownSlots(slots)
	} else if err := r.known(ctx, names, slots); err != nil {
		return err
	}
	operations := r.leftovers(ctx)
	var recorded []string
	for _, name := range names {
		r.report.Profiles[name] = liveProfile{}
		slot, there := slots.profiles[name]
		recorded = append(recorded, r.recordIntents(ctx, []string{name}, intentStopped)...)
		if slot.Up {
			r.markStop(ctx, name, slot)
		}
		if op, ok := lowering(command, name, slot, there); ok {
			operations = append(operations, op)
		}
	}
	r.execute(ctx, operations)
	if command == "stop" {
		r.follow(ctx, recorded, intentStopped)
	}
	now := r.slots(ctx)
	var wereDown []string
	for _, name := range names {
		r.setOutcome(name, loweredWords(command, slots, now, name))
		if slot, there := slots.profiles[name]; there && !slot.Up && command == "stop" {
			wereDown = append(wereDown, name)
		}
	}
	r.sayHolds(ctx, wereDown)
	return r.finish(ctx, cmd, r.bare(), r.lowered(names))
}

// known checks that each name is that of a slot or of a profile. A volume that cannot
// be read knows none, and says so.
func (r *liveRun) known(ctx context.Context, names []string, slots seenSlots) error {
	for _, name := range names {
		if _, there := slots.profiles[name]; there {
			continue
		}
		done, err := r.side.Change(ctx, engine.Change{Kind: engine.ReadIntent, Profile: name})
		switch {
		case done.Missing || errors.Is(err, fs.ErrNotExist):
			return resolve([]string{name}, r.profileNames(ctx), slots)
		case err != nil:
			return &exitError{exitProfile, fmt.Errorf("profile %s has no slot, and whether it is there is not known: %w", name, err)}
		}
	}
	return nil
}

// leftovers removes what interrupted runs left, which may still be supervised. Who
// may not make slots has none.
func (r *liveRun) leftovers(ctx context.Context) []policy.Operation {
	if !r.locked {
		return nil
	}
	operations, err := r.executor.Plan(ctx, policy.Decisions{})
	if err != nil {
		r.report.fail("", err)
	}
	return slices.DeleteFunc(operations, func(op policy.Operation) bool { return op.Op != policy.OpRemove })
}

// lowering is the operation that stops a profile, or removes its slot.
func lowering(command, name string, slot seenSlot, there bool) (policy.Operation, bool) {
	op := policy.Operation{Op: policy.OpBringDown, Profile: name, Slot: s6.SlotName(name), Cause: "asked for"}
	switch {
	case !there:
		return op, false
	case command == "unregister":
		op.Op = policy.OpRemove
	case slot.Supervised == nil || !*slot.Supervised:
		op.Op = policy.OpMarkDown
	}
	return op, true
}

// markStop has the gateway record that an operator stopped it. Without that it only
// takes the stop for one of the container.
func (r *liveRun) markStop(ctx context.Context, name string, slot seenSlot) {
	_, err := r.side.Change(ctx, engine.Change{Kind: engine.PlannedStop, Profile: name, PID: slot.PID, StartTime: slot.StartTime})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.report.fail(name, fmt.Errorf("the planned-stop marker: %w", err))
	}
}

// sayHolds adds which of the profiles that were down already are held, as far as the
// rules can be asked.
func (r *liveRun) sayHolds(ctx context.Context, names []string) {
	if len(names) == 0 || r.loadRules() != nil {
		return
	}
	s := r.collect(ctx)
	d := engine.Decide(ctx, r.evaluator, s.input, engine.OnRuleError(r.config.OnRuleError))
	for _, name := range names {
		for _, c := range engine.Holds(d.Profiles[name], s.input.Now) {
			r.note(name, fmt.Sprintf("it is held: %s (%s, %s)", c.Reason, c.Rule, c.Location))
		}
	}
}

func loweredWords(command string, before, now seenSlots, name string) string {
	was, there := before.profiles[name]
	is, still := now.profiles[name]
	switch {
	case command == "unregister" && !there:
		return "has no slot"
	case command == "unregister" && !still:
		return "slot removed"
	case command == "unregister":
		return "failed"
	case !there:
		return "has no slot; recorded as stopped"
	case was.Up && !is.Up:
		return "stopped"
	case is.Up:
		return "asked to stop"
	}
	return "already down"
}

// profileNames lists the profiles of the volume, none where it cannot be read.
func (r *liveRun) profileNames(ctx context.Context) []string {
	runs, err := r.side.Runs(ctx, ledger.Query{Most: 1})
	if err != nil {
		return nil
	}
	return runs.Names
}

// bare is a situation about which only the time is known.
func (r *liveRun) bare() situation {
	return situation{input: policy.Input{Now: policy.NewNow(time.Now()), Container: policy.Facts{}, Profiles: map[string]policy.Facts{}}}
}

// lowered are decisions that an operator made without the rules.
func (r *liveRun) lowered(names []string) policy.Decisions {
	d := policy.Decisions{SchemaVersion: policy.SchemaVersion, Phase: policy.PhaseApply, Profiles: map[string]policy.Decision{}}
	for _, name := range names {
		d.Profiles[name] = policy.Decision{Action: policy.ActionDown, Code: codeOperator, Reason: "an operator called " + r.command, PriorState: intentStopped, PriorExit: "unknown"}
	}
	return d
}

// codeOperator says that somebody decided, and no rule.
const codeOperator = "operator"

// ownSlots are the profiles that have a slot of ours.
func ownSlots(slots seenSlots) []string {
	return slices.DeleteFunc(sortedNames(slots.profiles), func(name string) bool { return !slots.profiles[name].Ours })
}
