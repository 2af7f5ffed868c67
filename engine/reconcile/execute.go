package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
)

// planOptions are those of a pass over all profiles, or over those that are named.
func (p *pass) planOptions() policy.PlanOptions {
	o := policy.PlanOptions{
		Live:   p.Phase == policy.PhaseApply,
		Rescan: p.Rescan, RestartChanged: p.RestartChanged, Diff: p.Diff, UpFor: p.Execute.UpFor,
	}
	if len(p.Request.Profiles) > 0 || p.Input != nil {
		return o
	}
	o.Service = true
	why := p.report.Uncertain()
	if o.Prune = why == ""; !o.Prune && o.Live {
		p.unpruned(why)
	}
	return o
}

// unpruned raises an alarm about the slots that stay because their profiles may exist.
func (p *pass) unpruned(why string) {
	left := slices.DeleteFunc(ownSlots(p.report.Slots), func(name string) bool {
		d := p.report.Decisions.Profiles[name]
		_, unread := p.report.Input.Unread[name]
		return d.Action != "" && !(unread && d.Undecided)
	})
	if len(left) > 0 {
		p.report.Alarms = append(p.report.Alarms, policy.Alarm{Code: engine.CodeVolume, Reason: fmt.Sprintf(
			"%s; slots whose profile is not known are left alone: %s", why, strings.Join(left, ", "))})
	}
}

// plan plans what is done to slots, and then what is done on the volume.
func (p *pass) plan(ctx context.Context, o policy.PlanOptions) {
	plan, err := p.Slots.Plan(ctx, p.report.Decisions, o)
	if err != nil {
		p.report.PlanErr = fmt.Errorf("plan: %w", err)
		p.problem("", p.report.PlanErr)
		return
	}
	plan.Operations = append(plan.Operations, engine.FileOperations(p.report.Decisions)...)
	if running := p.report.Slots.Running; p.Phase == policy.PhaseBoot && p.Extent == ToEnd && o.Rescan && len(p.report.Skip) == 0 && running != nil && !*running {
		p.problem("", fmt.Errorf("no s6-svscan works on %s: nothing starts before one scans", p.ScanDir))
	}
	p.report.planned(plan)
}

// execute carries the operations out: those on slots and those on the volume side by side
// at a boot, where no gateway starts before the scan at the end. On a running container,
// what stops gateways comes first: the volume may not answer. What starts them comes last,
// when the files of a dead one are gone.
func (p *pass) execute(ctx context.Context, operations []policy.Operation) {
	if len(operations) == 0 {
		return
	}
	if p.Phase != policy.PhaseBoot {
		lowering := slices.DeleteFunc(slices.Clone(operations), func(op policy.Operation) bool { return !lowers(op) })
		p.done(p.onSlots(ctx, lowering)...)
		rest := slices.DeleteFunc(slices.Clone(operations), lowers)
		p.done(p.Volume.Execute(ctx, rest, p.Execute)...)
		p.done(p.onSlots(ctx, rest)...)
		return
	}
	isScan := func(op policy.Operation) bool { return op.Op == policy.OpRescan }
	before := slices.DeleteFunc(slices.Clone(operations), isScan)
	scans := slices.DeleteFunc(slices.Clone(operations), func(op policy.Operation) bool { return !isScan(op) })
	var onVolume []policy.Result
	var group sync.WaitGroup
	group.Go(func() { onVolume = p.Volume.Execute(ctx, before, p.Execute) })
	onSlots := p.onSlots(ctx, before)
	group.Wait()
	p.done(onSlots...)
	p.done(onVolume...)
	p.done(p.onSlots(ctx, scans)...)
}

// lowers reports whether an operation stops a gateway for good or keeps it down.
func lowers(op policy.Operation) bool {
	switch op.Op {
	case policy.OpRemove, policy.OpMarkDown:
		return true
	case policy.OpBringDown:
		return !op.ThenUp
	}
	return false
}

// onSlots carries out the operations on slots under the lock. A user who may not take the
// lock can still send control commands.
func (p *pass) onSlots(ctx context.Context, operations []policy.Operation) []policy.Result {
	if len(operations) == 0 {
		return nil
	}
	if err := p.lock(ctx); err != nil {
		p.problem("", fmt.Errorf("the slots are not changed: %w", err))
		return nil
	}
	var refused []policy.Result
	if p.refused != nil {
		allowed := slices.DeleteFunc(slices.Clone(operations), changesFiles)
		for _, op := range operations {
			if changesFiles(op) {
				refused = append(refused, policy.Result{Operation: op, Err: fmt.Errorf("%s %s: %w", op.Op, op.Slot, p.refused)})
			}
		}
		operations = allowed
	}
	return append(refused, p.Slots.Execute(ctx, operations, p.Execute)...)
}

// changesFiles reports whether an operation on a slot needs more than control commands.
func changesFiles(op policy.Operation) bool {
	switch op.Op {
	case policy.OpPublish, policy.OpUpdate, policy.OpRemove, policy.OpRescan:
		return true
	}
	return false
}

func (p *pass) done(results ...policy.Result) {
	for _, r := range results {
		p.report.add(r)
		if r.Err != nil {
			p.problem(r.Operation.Profile, r.Err)
		}
	}
}

// CodeNoSlot is the code of a profile that was decided to have a slot and got none.
const CodeNoSlot = "no_slot"

// missing turns the decision of a profile that got no slot into what happened, so that
// neither log calls it started.
func (p *pass) missing() {
	d := p.report.Decisions
	for _, name := range p.Slots.Missing(d, p.report.Plan) {
		decision := d.Profiles[name]
		decision.Reason = fmt.Sprintf("it has no slot, see alarms and operations; decided was %s: %s", decision.Action, decision.Reason)
		decision.Action, decision.Code = policy.ActionSkip, CodeNoSlot
		d.Profiles[name] = decision
		p.problem("", errors.New("no slot: "+name))
	}
}
