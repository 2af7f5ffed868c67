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

// Plan compares the decisions with the scan directory and returns, in this
// order: removals, what makes the slot of each profile right, by name, stops, a
// rescan where one is wanted, and starts. It changes nothing. What it leaves alone,
// and why, is in Alarms afterwards. A scan directory that is not there yet is an empty
// one. When the container supervises nothing, there are no operations at all.
func (e *Executor) Plan(ctx context.Context, d policy.Decisions) ([]policy.Operation, error) {
	e.alarms, e.pending = nil, nil
	if len(d.Skip) > 0 {
		return nil, nil
	}
	p, err := e.newPlanner(d)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	removals := p.removals()
	changes := p.changes(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	plan, starts := inOrderOf(p.withinCapacity(changes, removals))
	plan = slices.Concat(removals, plan)
	cause := p.rescanCause(plan)
	if cause != "" {
		plan = append(plan, policy.Operation{Op: policy.OpRescan, Cause: cause})
	} else {
		starts = slices.DeleteFunc(starts, func(op policy.Operation) bool { return p.unsupervised[op.Slot] })
	}
	e.alarms, e.pending = p.alarms, p.pending
	return append(plan, starts...), nil
}

// inOrderOf puts stops after what changes slots, and takes the starts out.
func inOrderOf(changes []policy.Operation) (plan, starts []policy.Operation) {
	var stops []policy.Operation
	for _, op := range changes {
		switch op.Op {
		case policy.OpBringUp:
			starts = append(starts, op)
		case policy.OpBringDown:
			stops = append(stops, op)
		default:
			plan = append(plan, op)
		}
	}
	return append(plan, stops...), starts
}

// A planner is one run of Plan.
type planner struct {
	*Executor
	render    *renderer
	decisions map[string]policy.Decision
	scan      *scanDir               // nil: not there
	entries   map[string]fs.DirEntry // what is in it
	alarms    []policy.Alarm
	pending   []string
	idle      int // slots that are right and have no supervisor
	// unsupervised are the slots that start only when s6-svscan has scanned.
	unsupervised map[string]bool
}

func (e *Executor) newPlanner(d policy.Decisions) (*planner, error) {
	p := &planner{Executor: e.withDefaults(), decisions: d.Profiles, entries: map[string]fs.DirEntry{}, unsupervised: map[string]bool{}}
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

func (p *planner) alarm(profile, code, format string, args ...any) {
	p.alarms = append(p.alarms, policy.Alarm{Profile: profile, Code: code, Reason: fmt.Sprintf(format, args...)})
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

// isOwn reports whether an entry belongs to the user that we run as.
func (p *planner) isOwn(name string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(p.scan.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && int(st.Uid) == os.Geteuid()
}

// changes are the operations for every profile that is to have a slot, in the
// order of the names.
func (p *planner) changes(ctx context.Context) []policy.Operation {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.decisions)) {
		switch p.decisions[name].Action {
		case policy.ActionStart, policy.ActionDown:
			names = append(names, name)
		}
	}
	type answer struct {
		operations        []policy.Operation
		alarms            []policy.Alarm
		idle, free, waits bool
	}
	answers := make([]answer, len(names))
	each(len(names), func(i int) {
		if ctx.Err() != nil {
			return
		}
		one := profilePlan{planner: p, profile: names[i], decision: p.decisions[names[i]]}
		operations := one.operations()
		answers[i] = answer{operations, one.alarms, one.idle, one.free, one.waits}
	})
	var plan []policy.Operation
	for i, a := range answers {
		plan = append(plan, a.operations...)
		p.alarms = append(p.alarms, a.alarms...)
		if a.idle {
			p.idle++
		}
		if a.free {
			p.unsupervised[SlotName(names[i])] = true
		}
		if a.waits {
			p.pending = append(p.pending, names[i])
		}
	}
	return plan
}

// withinCapacity leaves out the new slots that s6-svscan could not hold: those
// of gateways that start come first, then the order of names counts. Slots that
// are there already stay.
func (p *planner) withinCapacity(changes, removals []policy.Operation) []policy.Operation {
	isNew := func(op policy.Operation) bool {
		_, there := p.entries[op.Slot]
		return op.Op == policy.OpPublish && !there
	}
	var fresh []string
	for _, op := range changes {
		if isNew(op) {
			fresh = append(fresh, op.Profile)
		}
	}
	limit, why, limited := p.limit()
	free := max(0, limit-p.remaining(removals))
	if !limited || len(fresh) <= free {
		return changes
	}
	slices.SortFunc(fresh, func(a, b string) int {
		return cmp.Or(cmp.Compare(p.rank(a), p.rank(b)), cmp.Compare(a, b))
	})
	surplus := fresh[free:]
	p.alarm("", "capacity", "no slot for %s: there is room for %d (%s)", fewOf(surplus), limit, why)
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

// remaining counts the slots that take places already, ours or not, without
// those that go.
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
	case p.scan == nil:
		c := detectCapacity(p.Proc, svscan{}, 0, 0)
		return c.Gateways, c.Source, true
	}
	used, others := countPlaces(p.scan.fd, slices.Collect(maps.Values(p.entries)))
	c := detectCapacity(p.Proc, findSvscan(p.scan.fd, p.Proc), used, others)
	return c.Gateways, c.Source, true
}

// countPlaces counts the services of a scan directory, each with its logger, and
// those of them that are not gateways.
func countPlaces(scanfd int, entries []fs.DirEntry) (used, others int) {
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || !entry.IsDir() && entry.Type()&fs.ModeSymlink == 0 {
			continue
		}
		places := 1
		var st unix.Stat_t
		if unix.Fstatat(scanfd, name+"/log", &st, 0) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			places = 2
		}
		used += places
		if !strings.HasPrefix(name, slotPrefix) {
			others += places
		}
	}
	return used, others
}

// rescanCause says why s6-svscan is to scan, "" when it need not.
func (p *planner) rescanCause(plan []policy.Operation) string {
	changed := slices.ContainsFunc(plan, func(op policy.Operation) bool {
		return op.Op == policy.OpPublish || op.Op == policy.OpRemove && !isStaging(op.Slot)
	})
	switch {
	case !p.Rescan || p.scan == nil || !changed && p.idle == 0:
		return ""
	case !findSvscan(p.scan.fd, p.Proc).Running:
		if p.Live {
			p.alarm("", alarmNoSvscan, "no s6-svscan supervises %s: nothing starts before one does", p.ScanDir)
		}
		return ""
	case changed:
		return "slots are made or removed"
	}
	return fmt.Sprintf("slots without a supervisor: %d", p.idle)
}
