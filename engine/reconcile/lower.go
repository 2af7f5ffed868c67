package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"hermes-reconcile/engine"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/wait"
)

// CodeOperator is the code of what an operator decided, without a rule.
const CodeOperator = "operator"

// headStart is how long the volume gets to write that an operator stops a gateway before
// the gateway is stopped. Each profile adds noteTime.
const (
	headStart = time.Second
	noteTime  = 10 * time.Millisecond
)

// patience bounds what a stop asks the rules once it has let others in. A busy machine needs
// seconds to start their process.
const patience = 10 * time.Second

// lower stops the profiles of a request, and for Unregister removes their slots. It works
// without the rules. A volume that does not answer costs the record of the stop, and
// neither the stop nor the lock.
func (p *pass) lower(ctx context.Context) error {
	p.report.Input = policy.Input{
		SchemaVersion: policy.SchemaVersion, Phase: p.Phase, Now: policy.NewNow(time.Now()),
		Container: policy.Facts{}, Profiles: map[string]policy.Facts{},
	}
	before := p.Slots.Slots(ctx)
	if !before.Known() {
		return fmt.Errorf("the scan directory %s is %s", p.ScanDir, before.Status)
	}
	slots := before.ByProfile()
	names := p.Request.Profiles
	if p.Request.All {
		names = ownSlots(before)
	} else if err := p.exist(ctx, names, slots); err != nil {
		return err
	}
	operations := p.leftovers(ctx)
	for _, name := range names {
		p.report.Profiles[name] = &Outcome{}
		if slot, exists := slots[name]; exists {
			operations = append(operations, p.lowering(name, slot))
		}
	}
	if p.isDry() {
		p.report.planned(policy.Plan{Operations: slices.DeleteFunc(operations, func(op policy.Operation) bool { return isLow(op, slots[op.Profile]) })})
		p.noted(engine.IntentStopped, p.takeNotes(ctx, names, engine.IntentStopped, slots))
		return nil
	}
	defer wait.For(ctx, "the volume", 0)()
	noted := make(chan []note, 1)
	go func() { noted <- p.takeNotes(ctx, names, engine.IntentStopped, slots) }()
	var notes []note
	answers := func(within time.Duration) bool {
		select {
		case notes = <-noted:
			return true
		case <-time.After(within):
			return false
		}
	}
	inTime := answers(headStart + time.Duration(len(names))*noteTime)
	p.done(p.onSlots(ctx, operations)...)
	if !inTime && !answers(0) {
		p.letOthersIn()
		notes = <-noted
	}
	recorded := p.noted(engine.IntentStopped, notes)
	if p.Request.Kind == Stop {
		p.follow(ctx, recorded, engine.IntentStopped)
		for _, name := range recorded {
			if len(p.report.Profiles[name].Errors) > 0 && slots[name].Now() == policy.NowNobody {
				p.report.note(name, "the intent is recorded: the next apply or boot keeps it down")
			}
		}
	}
	p.letOthersIn()
	if p.Request.Kind == Unregister && p.refused != nil {
		p.askWatch(ctx)
	}
	now := p.Slots.Slots(ctx).ByProfile()
	p.stillThere(names, now)
	var wereDown []string
	for _, name := range names {
		was, existed := slots[name]
		p.report.conclude(name, p.loweredWords(was, existed, now, name))
		if existed && !was.Up && p.Request.Kind == Stop {
			wereDown = append(wereDown, name)
		}
	}
	p.noteHolds(ctx, wereDown)
	p.report.Decisions = p.operatorDecisions(names)
	return p.finish(ctx)
}

// exist checks that each name is that of a slot or of a profile. A volume that cannot be
// read knows none, which is another error.
func (p *pass) exist(ctx context.Context, names []string, slots map[string]policy.Slot) error {
	for _, name := range names {
		if _, exists := slots[name]; exists {
			continue
		}
		done, err := p.Volume.Change(ctx, engine.Change{Kind: engine.ReadIntent, Profile: name})
		switch {
		case done.Missing || errors.Is(err, fs.ErrNotExist):
			return engine.CheckNames([]string{name}, slices.Collect(maps.Keys(slots)))
		case err != nil:
			return fmt.Errorf("profile %s has no slot, and whether it exists is not known: %w", name, err)
		}
	}
	return nil
}

// stillThere reports the slots that this user cannot remove. A watch removes those whose
// profiles are gone.
func (p *pass) stillThere(names []string, now map[string]policy.Slot) {
	for _, name := range names {
		if _, exists := now[name]; exists && p.Request.Kind == Unregister && p.refused != nil {
			p.problem(name, fmt.Errorf("it keeps its slot while the profile exists: %w", p.refused))
		}
	}
}

// leftovers removes what interrupted runs left, which may still be supervised. A user who
// may not make slots left nothing.
func (p *pass) leftovers(ctx context.Context) []policy.Operation {
	if p.unlock == nil && !p.isDry() {
		return nil
	}
	plan, err := p.Slots.Plan(ctx, policy.Decisions{}, policy.PlanOptions{Live: true})
	if err != nil {
		p.problem("", err)
	}
	return slices.DeleteFunc(plan.Operations, func(op policy.Operation) bool { return op.Op != policy.OpRemove })
}

// lowering returns the operation that stops a profile, or removes its slot.
func (p *pass) lowering(name string, slot policy.Slot) policy.Operation {
	op := policy.Operation{Op: policy.OpBringDown, Profile: name, Slot: policy.SlotName(name), Cause: "asked for"}
	switch {
	case p.Request.Kind == Unregister && p.refused == nil:
		op.Op = policy.OpRemove
	case slot.Supervised == nil || !*slot.Supervised:
		op.Op = policy.OpMarkDown
	}
	return op
}

// isLow reports whether an operation that stops a gateway has nothing to do.
func isLow(op policy.Operation, slot policy.Slot) bool {
	return op.Op != policy.OpRemove && slot.DownFile && !slot.Up && !slot.WantedUp
}

// noteHolds notes which of the profiles that were down already are held, as far as the
// rules can be asked.
func (p *pass) noteHolds(ctx context.Context, names []string) {
	if len(names) == 0 || p.report.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rules, err := p.Rules.Load(ctx)
	if err != nil {
		return
	}
	recorded := p.report.Situation
	p.collect(ctx)
	in := p.report.Input
	p.report.Situation = recorded
	d := engine.Decide(ctx, rules, in, p.OnRuleError)
	for _, name := range names {
		for _, c := range engine.Holds(d.Profiles[name], in.Now) {
			p.report.note(name, fmt.Sprintf("it is held: %s (%s, %s)", c.Reason, c.Rule, c.Location))
		}
	}
}

func (p *pass) loweredWords(was policy.Slot, existed bool, now map[string]policy.Slot, name string) string {
	is, exists := now[name]
	switch {
	case p.Request.Kind == Unregister && !existed:
		return "has no slot"
	case p.Request.Kind == Unregister && !exists:
		return "slot removed"
	case p.Request.Kind == Unregister:
		return "failed"
	case !existed:
		return "has no slot; recorded as stopped"
	case was.Up && !is.Up:
		return "stopped"
	case is.Up:
		return "asked to stop"
	}
	return "already down"
}

// operatorDecisions are decisions that an operator made without the rules, for the
// ledger.
func (p *pass) operatorDecisions(names []string) policy.Decisions {
	d := policy.Decisions{SchemaVersion: policy.SchemaVersion, Phase: p.Phase, Profiles: map[string]policy.Decision{}}
	for _, name := range names {
		d.Profiles[name] = policy.Decision{
			Action: policy.ActionDown, Code: CodeOperator, Reason: "an operator called " + p.Command,
			PriorState: engine.IntentStopped, PriorExit: "unknown",
		}
	}
	return d
}
