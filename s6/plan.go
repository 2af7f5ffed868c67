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

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// The codes of the alarms about one profile; "capacity" and alarmNoSvscan are about
// all of them.
const (
	alarmForeign    = "slot_foreign"    // its name belongs to something that is not a slot of ours
	alarmUnreadable = "slot_unreadable" // it cannot be compared
	alarmImpossible = "slot_impossible" // no slot can have that name or that content
	alarmOwner      = "slot_owner"      // part of it belongs to another user
	alarmNoSvscan   = "no_svscan"       // nothing supervises the scan directory
)

// Plan compares the decisions with the scan directory. The operations are, in this
// order: removals, changes of the slots by profile name, stops, a rescan, and
// starts. Plan changes nothing; what it leaves alone is in the alarms. A missing
// scan directory counts as empty. When the container supervises nothing (d.Skip),
// the plan is empty.
func (e *Executor) Plan(ctx context.Context, d policy.Decisions, o policy.PlanOptions) (policy.Plan, error) {
	if len(d.Skip) > 0 {
		return policy.Plan{}, nil
	}
	p, err := e.newPlanner(d, o)
	if err != nil {
		return policy.Plan{}, err
	}
	defer p.close()
	if err := ctx.Err(); err != nil {
		return policy.Plan{}, err
	}
	removals := p.removals()
	changes := p.changes(ctx)
	if err := ctx.Err(); err != nil {
		return policy.Plan{}, err
	}
	changes, starts := inOrderOf(p.withinCapacity(changes, removals))
	operations := slices.Concat(removals, changes)
	if cause := p.rescanCause(operations); cause != "" {
		operations = append(operations, policy.Operation{Op: policy.OpRescan, Cause: cause})
	} else {
		starts = slices.DeleteFunc(starts, func(op policy.Operation) bool { return p.unsupervised[op.Slot] })
	}
	p.plan.Operations = append(operations, starts...)
	return p.plan, nil
}

// inOrderOf puts stops after the changes of slots, and separates the starts.
func inOrderOf(operations []policy.Operation) (changes, starts []policy.Operation) {
	var stops []policy.Operation
	for _, op := range operations {
		switch op.Op {
		case policy.OpBringUp:
			starts = append(starts, op)
		case policy.OpBringDown:
			stops = append(stops, op)
		default:
			changes = append(changes, op)
		}
	}
	return append(changes, stops...), starts
}

// A planner is one run of Plan.
type planner struct {
	*Executor
	policy.PlanOptions
	render    *renderer
	decisions map[string]policy.Decision
	scan      *scanDir               // nil: missing
	entries   map[string]fs.DirEntry // of the scan directory
	plan      policy.Plan

	idle         int             // slots that are right and have no supervisor
	unsupervised map[string]bool // slots that start only after a scan
}

func (e *Executor) newPlanner(d policy.Decisions, o policy.PlanOptions) (*planner, error) {
	p := &planner{
		Executor: e.withDefaults(), PlanOptions: o,
		decisions: d.Profiles, entries: map[string]fs.DirEntry{}, unsupervised: map[string]bool{},
	}
	var err error
	if p.render, err = newRenderer(p.Executor); err != nil {
		return nil, err
	}
	p.scan, err = openScanDir(e.ScanDir)
	if errors.Is(err, fs.ErrNotExist) {
		p.scan = nil
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("scan directory: %w", err)
	}
	list, err := p.scan.dir.ReadDir(-1)
	if err != nil {
		p.close()
		return nil, fmt.Errorf("read the scan directory: %w", err)
	}
	for _, entry := range list {
		p.entries[entry.Name()] = entry
	}
	return p, nil
}

func (p *planner) close() {
	if p.scan != nil {
		p.scan.close()
	}
}

// alarm adds an alarm about the whole scan directory.
func (p *planner) alarm(code, format string, args ...any) {
	p.plan.Alarms = append(p.plan.Alarms, policy.Alarm{Code: code, Reason: fmt.Sprintf(format, args...)})
}

// removals are the leftovers of interrupted runs, and the slots of ours whose
// profile is skipped or, with Prune, unknown.
func (p *planner) removals() []policy.Operation {
	var plan []policy.Operation
	for _, name := range slices.Sorted(maps.Keys(p.entries)) {
		if isStaging(name) {
			if p.isOwn(name) {
				plan = append(plan, policy.Operation{Op: policy.OpRemove, Slot: name, Cause: "left by an interrupted run"})
			}
			continue
		}
		profile, ok := strings.CutPrefix(name, slotPrefix)
		if !ok {
			continue
		}
		decision, decided := p.decisions[profile]
		switch {
		case decided && decision.Action != policy.ActionSkip, !decided && !p.Prune, !p.scan.isOurs(name):
			continue
		case decided:
			plan = append(plan, policy.Operation{Op: policy.OpRemove, Profile: profile, Slot: name, Cause: causeOf(decision)})
		default:
			plan = append(plan, policy.Operation{Op: policy.OpRemove, Profile: profile, Slot: name, Cause: "there is no such profile"})
		}
	}
	return plan
}

// isOwn reports whether an entry belongs to the user of this process.
func (p *planner) isOwn(name string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(p.scan.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && int(st.Uid) == os.Geteuid()
}

// changes are the operations for every profile that is to have a slot, by name.
func (p *planner) changes(ctx context.Context) []policy.Operation {
	var plans []profilePlan
	for _, name := range slices.Sorted(maps.Keys(p.decisions)) {
		switch decision := p.decisions[name]; decision.Action {
		case policy.ActionStart, policy.ActionDown:
			plans = append(plans, profilePlan{planner: p, profile: name, decision: decision})
		}
	}
	operations := make([][]policy.Operation, len(plans))
	each(len(plans), func(i int) {
		if ctx.Err() == nil {
			operations[i] = plans[i].operations(ctx)
		}
	})
	for _, one := range plans {
		p.plan.Alarms = append(p.plan.Alarms, one.alarms...)
		if one.idle {
			p.idle++
		}
		if one.free {
			p.unsupervised[SlotName(one.profile)] = true
		}
		if one.pending {
			p.plan.Pending = append(p.plan.Pending, one.profile)
		}
	}
	return slices.Concat(operations...)
}

// withinCapacity leaves out the new slots that s6-svscan could not hold. Slots that
// exist stay; new slots of gateways that start come first, then the others, each by
// name.
func (p *planner) withinCapacity(changes, removals []policy.Operation) []policy.Operation {
	var fresh []string
	for _, op := range changes {
		if _, exists := p.entries[op.Slot]; op.Op == policy.OpPublish && !exists {
			fresh = append(fresh, op.Profile)
		}
	}
	limit, why, limited := p.limit()
	free := max(0, limit-p.remaining(removals))
	if !limited || len(fresh) <= free {
		return changes
	}
	slices.SortStableFunc(fresh, func(a, b string) int { return cmp.Compare(p.rank(a), p.rank(b)) })
	surplus := fresh[free:]
	p.alarm("capacity", "no slot for %s: there is room for %d (%s)", fewOf(surplus), limit, why)
	left := map[string]bool{}
	for _, name := range surplus {
		left[name] = true
	}
	return slices.DeleteFunc(changes, func(op policy.Operation) bool { return left[op.Profile] })
}

func (p *planner) rank(profile string) int {
	if p.decisions[profile].Action == policy.ActionStart {
		return 0
	}
	return 1
}

// remaining counts the slots that keep their places, ours or not.
func (p *planner) remaining(removals []policy.Operation) int {
	n := 0
	for name := range p.entries {
		if strings.HasPrefix(name, slotPrefix) {
			n++
		}
	}
	for _, op := range removals {
		if !isStaging(op.Slot) {
			n--
		}
	}
	return n
}

func (p *planner) limit() (gateways int, why string, limited bool) {
	switch {
	case p.Capacity != nil && *p.Capacity == 0:
		return 0, "", false
	case p.Capacity != nil:
		return *p.Capacity, "configured", true
	}
	var found svscan
	var used, others int
	if p.scan != nil {
		found = findSvscan(p.scan.fd, p.Proc)
		used, others = countPlaces(p.scan.fd, slices.Collect(maps.Values(p.entries)))
	}
	c := detectCapacity(p.Proc, found, used, others)
	return c.Gateways, c.Source, true
}

// rescanCause is why s6-svscan has to scan, "" when it need not.
func (p *planner) rescanCause(plan []policy.Operation) string {
	changed := slices.ContainsFunc(plan, func(op policy.Operation) bool {
		return op.Op == policy.OpPublish || op.Op == policy.OpRemove && !isStaging(op.Slot)
	})
	switch {
	case !p.Rescan || p.scan == nil || !changed && p.idle == 0:
		return ""
	case !findSvscan(p.scan.fd, p.Proc).Running:
		if p.Live {
			p.alarm(alarmNoSvscan, "no s6-svscan supervises %s: nothing starts before one does", p.ScanDir)
		}
		return ""
	case changed:
		return "slots are made or removed"
	}
	return fmt.Sprintf("slots without a supervisor: %d", p.idle)
}
