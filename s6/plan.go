package s6

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
	"hermes-reconcile/s6/supervise"
)

// The codes of the alarms about one profile; "capacity", alarmNoSvscan, alarmNoHelper,
// alarmNoWatch and alarmNoProgram are about all of them, and policy.CodeUntrusted is about either.
const (
	alarmForeign    = "slot_foreign"     // its name belongs to something that is not a slot of ours
	alarmUnreadable = "slot_unreadable"  // it cannot be compared
	alarmImpossible = "slot_impossible"  // no slot can have that name or that content
	alarmNoSvscan   = "no_svscan"        // nothing supervises the scan directory
	alarmNoHelper   = "deaths_uncounted" // root must not run the helper of finish scripts
	alarmNoWatch    = "no_watch"         // root must not run the command of the service
	alarmNoProgram  = "no_program"       // a program that every slot needs is nowhere
)

// Plan compares the decisions with the scan directory. The operations are, in this
// order: what makes the scan directory root's, removals, changes of the service and of the slots by profile name,
// stops, a rescan, and starts. Plan changes nothing; the alarms have what it leaves alone. A missing
// scan directory counts as empty, and is an error with Rescan. When the container supervises nothing (d.Skip),
// the plan is empty.
func (e *Executor) Plan(ctx context.Context, d policy.Decisions, o policy.PlanOptions) (policy.Plan, error) {
	if len(d.Skip) > 0 {
		return policy.Plan{}, nil
	}
	p, err := e.newPlanner(d, o)
	if err != nil {
		return policy.Plan{}, err
	}
	defer p.scan.Close()
	first := p.guard()
	removals := p.removals()
	slots := append(p.watch(), p.slots()...)
	each(len(slots), func(i int) {
		if ctx.Err() == nil {
			slots[i].plan(ctx)
		}
	})
	p.checkHelper(slots)
	if lacking := p.render.Lacking; len(lacking) > 0 && p.scan != nil { // else this is no container
		p.alarm(alarmNoProgram, "gateways cannot run, and slots that exist keep their files: %s", strings.Join(lacking, "; "))
	}
	if err := ctx.Err(); err != nil {
		return policy.Plan{}, err
	}
	return p.join(first, removals, p.withinCapacity(slots, removals)), nil
}

// A planner is one run of Plan.
type planner struct {
	*Executor
	policy.PlanOptions
	render    *scripts.Renderer
	decisions map[string]policy.Decision
	scan      *scandir.Dir           // nil: missing
	entries   map[string]fs.DirEntry // of the scan directory
	alarms    []policy.Alarm         // about the whole scan directory

	supervisor int  // the uid of a running s6-svscan, -1 when unknown
	guarded    bool // parts must be root's, and can be
}

func (e *Executor) newPlanner(d policy.Decisions, o policy.PlanOptions) (*planner, error) {
	p := &planner{Executor: e.withDefaults(), PlanOptions: o, decisions: d.Profiles, entries: map[string]fs.DirEntry{}}
	p.Service = o.Service && p.Root
	var err error
	if p.render, err = p.newRenderer(); err != nil {
		return nil, err
	}
	p.scan, err = scandir.Open(e.ScanDir)
	if errors.Is(err, fs.ErrNotExist) && !o.Rescan {
		p.scan = nil
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("scan directory: %w", err)
	}
	list, err := p.scan.File.ReadDir(-1)
	if err != nil {
		p.scan.Close()
		return nil, fmt.Errorf("read the scan directory: %w", err)
	}
	for _, entry := range list {
		p.entries[entry.Name()] = entry
	}
	if p.strict() {
		p.supervisor = -1
		if pid := p.scan.Scanner().PID; pid > 0 {
			p.supervisor = supervise.UID(pid)
		}
		p.guarded = p.supervisor <= 0
	}
	return p, nil
}

func (p *planner) alarm(code, format string, args ...any) {
	p.alarms = append(p.alarms, policy.Alarm{Code: code, Reason: fmt.Sprintf(format, args...)})
}

// removals are the leftovers of interrupted runs, and the slots of ours whose
// profile is skipped or, with Prune, unknown or the service when there is to be none.
func (p *planner) removals() []policy.Operation {
	var plan []policy.Operation
	for _, name := range slices.Sorted(maps.Keys(p.entries)) {
		op := policy.Operation{Op: policy.OpRemove, Slot: name}
		profile, isSlot := strings.CutPrefix(name, policy.SlotPrefix)
		decision, decided := p.decisions[profile]
		switch {
		case scandir.IsStaging(name) && p.isOwn(name):
			op.Cause = "left by an interrupted run"
		case name == policy.WatchSlot && p.Service && len(p.Watch) == 0 && p.Prune && p.scan.IsOurs(name):
			op.Cause = "watch.enabled is false"
		case !isSlot, decided && decision.Action != policy.ActionSkip, !decided && !p.Prune, !p.scan.IsOurs(name):
			continue
		case decided:
			op.Profile, op.Cause = profile, causeOf(decision)
		default:
			op.Profile, op.Cause = profile, "there is no such profile"
		}
		plan = append(plan, op)
	}
	return plan
}

// isOwn reports whether an entry belongs to the user of this process. Nobody but root makes
// entries of a scan directory that must be root's.
func (p *planner) isOwn(name string) bool {
	if p.guarded {
		return true
	}
	st, err := p.scan.Lstat(name)
	return err == nil && int(st.Uid) == os.Geteuid()
}

// watch is the service, where there is to be one. Nothing but publish and update makes it
// right: whoever stops it by hand wants it down.
func (p *planner) watch() []slotPlan {
	if !p.Service || len(p.Watch) == 0 {
		return nil
	}
	if err := p.render.MayRunWatch(); err != nil {
		p.alarm(alarmNoWatch, "no service keeps the gateways as decided: %v", err)
		return nil
	}
	decision := policy.Decision{Action: policy.ActionStart, Reason: "it keeps the gateways as decided"}
	return []slotPlan{{planner: p, slot: policy.WatchSlot, decision: decision}}
}

// slots are those of every profile that is to have one, by name.
func (p *planner) slots() []slotPlan {
	var slots []slotPlan
	for _, name := range slices.Sorted(maps.Keys(p.decisions)) {
		switch decision := p.decisions[name]; decision.Action {
		case policy.ActionStart, policy.ActionDown:
			slots = append(slots, slotPlan{planner: p, profile: name, slot: policy.SlotName(name), decision: decision})
		}
	}
	return slots
}

// checkHelper raises an alarm when deaths should be counted and cannot be.
func (p *planner) checkHelper(slots []slotPlan) {
	if !slices.ContainsFunc(slots, func(s slotPlan) bool { return scripts.NeedsHelper(s.decision.Restart) }) {
		return
	}
	if err := p.render.MayRunDied(); err != nil {
		p.alarm(alarmNoHelper, "deaths are not counted, so nothing slows down or ends a crash loop: %v", err)
	}
}

// withinCapacity leaves out the new slots that s6-svscan could not hold. Slots that
// exist stay; the service comes first, which no configured limit counts, then new slots of
// gateways that start, then the others, each by name.
func (p *planner) withinCapacity(slots []slotPlan, removals []policy.Operation) []slotPlan {
	limit, why := p.limit()
	if limit < 0 {
		return slots
	}
	free := limit - p.remaining(removals)
	var surplus []string
	for _, action := range []policy.Action{policy.ActionStart, policy.ActionDown} {
		for i := range slots {
			s := &slots[i]
			if !s.fresh || s.decision.Action != action || s.isWatch() && p.Capacity != nil {
				continue
			}
			if free--; free < 0 {
				s.surplus = true
				surplus = append(surplus, cmp.Or(s.profile, s.slot))
			} else if s.isWatch() {
				limit--
			}
		}
	}
	if len(surplus) > 0 {
		p.alarm("capacity", "no slot for %s: there is room for %d (%s)", policy.Few(surplus), limit, why)
	}
	return slices.DeleteFunc(slots, func(s slotPlan) bool { return s.surplus })
}

// remaining counts the slots that keep their places, ours or not. A service that is removed
// leaves its place to one more.
func (p *planner) remaining(removals []policy.Operation) int {
	n := 0
	for name := range p.entries {
		if strings.HasPrefix(name, policy.SlotPrefix) {
			n++
		}
	}
	for _, op := range removals {
		if !scandir.IsStaging(op.Slot) {
			n--
		}
	}
	return n
}

// limit is how many gateways may have a slot, -1 for any number, and where the limit
// comes from.
func (p *planner) limit() (gateways int, source string) {
	switch {
	case p.Capacity != nil && *p.Capacity == 0:
		return -1, ""
	case p.Capacity != nil:
		return *p.Capacity, "configured"
	}
	c := p.scan.Capacity(p.scan.Scanner(), slices.Collect(maps.Values(p.entries)))
	return c.Gateways, c.Source
}

// join makes one plan. Without a scan, the slots that nothing supervises do not start.
func (p *planner) join(first, removals []policy.Operation, slots []slotPlan) policy.Plan {
	plan := policy.Plan{Operations: append(first, removals...)}
	var stops []policy.Operation
	idle := 0
	for _, s := range slots {
		plan.Operations = append(plan.Operations, s.changes...)
		plan.Alarms = append(plan.Alarms, s.alarms...)
		stops = append(stops, s.stops...)
		if s.idle {
			idle++
		}
		if s.pending {
			plan.Pending = append(plan.Pending, s.profile)
		}
	}
	p.setAside(&plan)
	p.services(plan, slots)
	plan.Operations = append(plan.Operations, stops...)
	cause := p.rescanCause(plan.Operations, idle)
	if cause != "" {
		plan.Operations = append(plan.Operations, policy.Operation{Op: policy.OpRescan, Cause: cause})
	}
	for _, s := range slots {
		if cause != "" || !s.free {
			plan.Operations = append(plan.Operations, s.starts...)
		}
	}
	plan.Alarms = append(plan.Alarms, p.alarms...)
	return plan
}

// rescanCause is why s6-svscan has to scan, "" when it need not. idle slots are as
// decided and have no supervisor.
func (p *planner) rescanCause(plan []policy.Operation, idle int) string {
	changed := slices.ContainsFunc(plan, func(op policy.Operation) bool {
		return op.Op == policy.OpPublish || op.Op == policy.OpRemove && !scandir.IsStaging(op.Slot)
	})
	switch {
	case !p.Rescan || p.scan == nil || !changed && idle == 0:
		return ""
	case !p.scan.Scanner().Running:
		if p.Live {
			p.alarm(alarmNoSvscan, "no s6-svscan supervises %s: nothing starts before one does", p.ScanDir)
		}
		return ""
	case changed:
		return "slots are made or removed"
	}
	return fmt.Sprintf("slots without a supervisor: %d", idle)
}

// causeOf is why a decision is as it is, in a few words.
func causeOf(d policy.Decision) string { return cmp.Or(d.Reason, d.Code) }
