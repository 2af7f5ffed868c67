package s6

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// A profilePlan is the part of a plan that concerns one profile.
type profilePlan struct {
	*planner
	profile  string
	decision policy.Decision
	// Its own, since profiles are compared side by side.
	alarms []policy.Alarm
	idle   bool // the slot stays as it is and has no supervisor
	free   bool // the slot has no supervisor
	waits  bool // what runs was started with another run script
}

// operations returns what makes the slot as decided. A slot that cannot or must
// not be touched is an alarm, and the other profiles go on.
func (p *profilePlan) operations() []policy.Operation {
	files, err := p.render.files(p.profile, p.decision.Env, p.decision.Restart)
	if err != nil {
		return p.refuse(alarmImpossible, fmt.Errorf("no slot can be made: %w", err))
	}
	slot := SlotName(p.profile)
	entry, there := p.entries[slot]
	if !there {
		return p.publish()
	}
	if p.decision.Undecided {
		return nil
	}
	if !entry.IsDir() {
		return p.refuse(alarmForeign, fmt.Errorf("%s is a %s, want a directory; it is left alone", slot, kindOf(entry.Type())))
	}
	fd, err := openDirectory(p.scan.fd, slot)
	if err != nil {
		return p.refuse(alarmUnreadable, err)
	}
	defer unix.Close(fd)
	return p.compare(fd, files)
}

func (p *profilePlan) compare(slotfd int, files []file) []policy.Operation {
	who, err := originOf(slotfd)
	if err != nil {
		return p.refuse(alarmUnreadable, err)
	}
	if who == originForeign {
		return p.refuse(alarmForeign, fmt.Errorf("%s was not made by hermes-reconcile: it has no %s; it is left alone", SlotName(p.profile), markerName))
	}
	held, err := supervisionOf(slotfd)
	if err != nil {
		return p.refuse(alarmUnreadable, err)
	}
	differ, err := differing(slotfd, files)
	if err != nil {
		return p.refuse(alarmUnreadable, err)
	}
	stranger, err := p.strangerOwns(slotfd)
	if err != nil {
		return p.refuse(alarmUnreadable, err)
	}
	if !held.Any() {
		paused, err := p.samePause(slotfd)
		if err != nil {
			return p.refuse(alarmUnreadable, err)
		}
		if len(differ) > 0 || stranger != "" || !paused {
			return p.publish()
		}
		p.idle, p.free = true, true
		return append(p.downFile(slotfd), p.start()...)
	}
	if stranger != "" {
		_ = p.refuse(alarmOwner, fmt.Errorf("%s: a user who owns part of a slot can become root; it is made anew once nothing supervises it", stranger))
	}
	var plan []policy.Operation
	if len(differ) > 0 {
		op := p.slotOperation(policy.OpUpdate)
		op.Down, op.DelaySeconds, op.Files = nil, 0, differ
		plan = append(plan, op)
	}
	if p.Live {
		return append(plan, p.live(slotfd, slices.Contains(differ, "run"))...)
	}
	return append(plan, p.downFile(slotfd)...)
}

// publish makes the slot, and with Live waits until its gateway runs.
func (p *profilePlan) publish() []policy.Operation {
	p.free = true
	return append([]policy.Operation{p.slotOperation(policy.OpPublish)}, p.start()...)
}

// start follows what makes a slot that nothing supervises yet.
func (p *profilePlan) start() []policy.Operation {
	if !p.Live || p.decision.Action != policy.ActionStart {
		return nil
	}
	return []policy.Operation{p.bringUp(causeOf(p.decision))}
}

// samePause says whether the slot waits before its first start as decided. What a
// supervised slot has left of it is its own matter.
func (p *profilePlan) samePause(slotfd int) (bool, error) {
	if pause, ok := pauseFile(p.decision.DelaySeconds); ok {
		return isFile(slotfd, pause.Name, pause.Mode, pause.Content)
	}
	there, err := exists(slotfd, pauseName)
	return !there, err
}

// differing returns the names of the files that are not as rendered, in the
// order in which they are to be replaced.
func differing(slotfd int, files []file) ([]string, error) {
	var names []string
	for _, f := range files {
		same, err := isFile(slotfd, f.Name, f.Mode, f.Content)
		if err != nil {
			return nil, err
		}
		if !same {
			names = append(names, f.Name)
		}
	}
	return names, nil
}

// strangerOwns says which part of the slot belongs to somebody else than root,
// where root keeps them for itself; "" is none.
func (p *profilePlan) strangerOwns(slotfd int) (string, error) {
	if !p.Root || p.Ownership == Upstream {
		return "", nil
	}
	for _, name := range []string{".", "supervise", "log", "log/supervise"} {
		var st unix.Stat_t
		err := unix.Fstatat(slotfd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if isAbsent(err) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("stat %s: %w", name, err)
		}
		if st.Uid != 0 {
			return fmt.Sprintf("%s of %s belongs to uid %d", name, SlotName(p.profile), st.Uid), nil
		}
	}
	return "", nil
}

func (p *profilePlan) downFile(slotfd int) []policy.Operation {
	down, err := exists(slotfd, downName)
	if err != nil {
		return p.refuse(alarmUnreadable, err)
	}
	wanted := p.decision.Action == policy.ActionDown
	switch {
	case wanted && !down:
		return []policy.Operation{p.operation(policy.OpMarkDown)}
	case !wanted && down:
		return []policy.Operation{p.operation(policy.OpClearDown)}
	}
	return nil
}

// statusWait is how long a supervisor gets to write its first status.
const statusWait = time.Second

// live starts or stops what runs. Whoever is started or stopped gets the down file
// of its slot changed with that, by its supervisor.
func (p *profilePlan) live(slotfd int, runDiffers bool) []policy.Operation {
	var s status
	ok := poll(context.Background(), statusWait, func() (ok bool) { s, ok = statusOf(slotfd); return ok })
	start := p.decision.Action == policy.ActionStart
	switch {
	case !ok:
		return p.refuse(alarmUnreadable, fmt.Errorf("%s: %s makes no sense, so it is neither started nor stopped", SlotName(p.profile), superviseStatus))
	case start && !s.WantUp:
		return []policy.Operation{p.bringUp(causeOf(p.decision))}
	case !start && (s.WantUp || s.Up()):
		return []policy.Operation{p.operation(policy.OpBringDown)}
	case start && slices.Contains(p.Restart, p.profile):
		return append(p.downFile(slotfd), p.restart(askedFor)...)
	case start && slices.Contains(p.Start, p.profile):
		return append(p.downFile(slotfd), p.startNow(slotfd, s, runDiffers)...)
	case start && s.Up():
		return append(p.downFile(slotfd), p.restartChanged(slotfd, runDiffers)...)
	}
	return p.downFile(slotfd)
}

// askedFor is the cause of what no rule wants and somebody does.
const askedFor = "asked for"

// startNow is for a gateway that is wanted up already: one that is not up, or not for
// long, is to be seen up, and waits only as long as the rules say.
func (p *profilePlan) startNow(slotfd int, s status, runDiffers bool) []policy.Operation {
	waits, err := exists(slotfd, pauseName)
	switch {
	case err != nil:
		return p.refuse(alarmUnreadable, err)
	case !s.Up(), !waits && time.Since(s.Stamp) < p.Steady:
		return []policy.Operation{p.bringUp(askedFor)}
	case waits && p.decision.DelaySeconds <= 0:
		return p.restart(askedFor)
	}
	return p.restartChanged(slotfd, runDiffers)
}

// restartChanged restarts a gateway that runs with an older run script, where that is
// wanted.
func (p *profilePlan) restartChanged(slotfd int, runDiffers bool) []policy.Operation {
	changed, err := exists(slotfd, changedName)
	switch {
	case err != nil:
		return p.refuse(alarmUnreadable, err)
	case !changed && !runDiffers:
		return nil
	case !p.RestartChanged:
		p.waits = true
		return nil
	}
	return p.restart("it runs with an older run script")
}

func (p *profilePlan) restart(cause string) []policy.Operation {
	down := p.operation(policy.OpBringDown)
	down.Cause = cause
	return []policy.Operation{down, p.bringUp(cause)}
}

func (p *profilePlan) bringUp(cause string) policy.Operation {
	op := p.operation(policy.OpBringUp)
	op.Cause, op.DelaySeconds = cause, p.decision.DelaySeconds
	return op
}

func (p *profilePlan) operation(op policy.Op) policy.Operation {
	return policy.Operation{Op: op, Profile: p.profile, Slot: SlotName(p.profile), Cause: causeOf(p.decision)}
}

// slotOperation carries all that a slot is rendered from.
func (p *profilePlan) slotOperation(op policy.Op) policy.Operation {
	o := p.operation(op)
	o.Down = new(p.decision.Action == policy.ActionDown)
	o.DelaySeconds, o.Env, o.Restart = p.decision.DelaySeconds, p.decision.Env, p.decision.Restart
	return o
}

func (p *profilePlan) refuse(code string, err error) []policy.Operation {
	p.alarms = append(p.alarms, policy.Alarm{Profile: p.profile, Code: code, Reason: err.Error()})
	return nil
}
