package s6

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// A profilePlan is the part of a plan that concerns one profile. Profiles are
// compared in parallel, so each has results of its own.
type profilePlan struct {
	*planner
	profile  string
	decision policy.Decision

	alarms  []policy.Alarm
	idle    bool // the slot stays as it is and has no supervisor
	free    bool // the slot has no supervisor
	pending bool // the gateway runs with an older run script
}

// operations returns what makes the slot as decided. A slot that cannot or must
// not be touched is an alarm.
func (p *profilePlan) operations(ctx context.Context) []policy.Operation {
	files, err := p.render.files(p.profile, p.decision.Env, p.decision.Restart)
	if err != nil {
		return p.refuse(alarmImpossible, fmt.Errorf("no slot can be made: %w", err))
	}
	slot := SlotName(p.profile)
	entry, exists := p.entries[slot]
	switch {
	case !exists:
		return p.publish()
	case p.decision.Undecided:
		return nil
	case !entry.IsDir():
		return p.refuse(alarmForeign, fmt.Errorf("%s is a %s, want a directory; it is left alone", slot, kindOf(entry.Type())))
	}
	fd, err := openDirectory(p.scan.fd, slot)
	if err != nil {
		return p.refuse(alarmUnreadable, err)
	}
	defer unix.Close(fd)
	who, err := originOf(fd)
	if err != nil {
		return p.refuse(alarmUnreadable, err)
	}
	if who == originForeign {
		return p.refuse(alarmForeign, fmt.Errorf("%s was not made by hermes-reconcile: it has no %s; it is left alone", slot, markerName))
	}
	plan, err := p.compare(ctx, fd, files)
	if err != nil {
		return p.refuse(alarmUnreadable, err)
	}
	return plan
}

// compare plans for a slot of ours.
func (p *profilePlan) compare(ctx context.Context, slotfd int, files []file) ([]policy.Operation, error) {
	held, err := supervisionOf(slotfd)
	if err != nil {
		return nil, err
	}
	differ, err := differing(slotfd, files)
	if err != nil {
		return nil, err
	}
	stranger, err := p.strangerOwns(slotfd)
	if err != nil {
		return nil, err
	}
	if !held.Any() {
		return p.unsupervisedSlot(slotfd, len(differ) > 0 || stranger != "")
	}
	if stranger != "" {
		p.refuse(alarmOwner, fmt.Errorf("%s: a user who owns part of a slot can become root; it is made anew once nothing supervises it", stranger))
	}
	var plan []policy.Operation
	if len(differ) > 0 {
		op := p.slotOperation(policy.OpUpdate)
		op.Down, op.DelaySeconds, op.Files = nil, 0, differ
		plan = append(plan, op)
	}
	next, err := p.supervisedSlot(ctx, slotfd, slices.Contains(differ, "run"))
	if err != nil {
		// The files of the slot can still be made right.
		p.refuse(alarmUnreadable, err)
	}
	return append(plan, next...), nil
}

// unsupervisedSlot makes a slot anew when it is wrong; else it makes its down file
// right.
func (p *profilePlan) unsupervisedSlot(slotfd int, wrong bool) ([]policy.Operation, error) {
	same, err := p.samePause(slotfd)
	if err != nil {
		return nil, err
	}
	if wrong || !same {
		return p.publish(), nil
	}
	p.idle, p.free = true, true
	plan, err := p.downFile(slotfd)
	return append(plan, p.start()...), err
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

// samePause reports whether an unsupervised slot pauses before its first start as
// decided. A supervised slot has started, so its pause is not compared.
func (p *profilePlan) samePause(slotfd int) (bool, error) {
	if pause, ok := pauseFile(p.decision.DelaySeconds); ok {
		return isFile(slotfd, pause.Name, pause.Mode, pause.Content)
	}
	pauses, err := exists(slotfd, pauseName)
	return !pauses, err
}

// differing returns the names of the files that are not as rendered, in the order
// in which they have to be replaced.
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

// strangerOwns describes the part of the slot that belongs to another user than
// root, when slots belong to root; "" is none.
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

func (p *profilePlan) downFile(slotfd int) ([]policy.Operation, error) {
	down, err := exists(slotfd, downName)
	wanted := p.decision.Action == policy.ActionDown
	switch {
	case err != nil || wanted == down:
		return nil, err
	case wanted:
		return []policy.Operation{p.operation(policy.OpMarkDown)}, nil
	}
	return []policy.Operation{p.operation(policy.OpClearDown)}, nil
}

// statusWait is how long a supervisor gets to write its first status.
const statusWait = time.Second

// supervisedSlot makes the down file right and, with Live, starts or stops the
// gateway. The supervisor changes the down file of a gateway that it starts or stops.
func (p *profilePlan) supervisedSlot(ctx context.Context, slotfd int, runDiffers bool) ([]policy.Operation, error) {
	if !p.Live {
		return p.downFile(slotfd)
	}
	var s status
	known := poll(ctx, statusWait, func() (ok bool) { s, ok = statusOf(slotfd); return ok })
	start := p.decision.Action == policy.ActionStart
	switch {
	case !known:
		return nil, fmt.Errorf("%s: %s makes no sense, so it is neither started nor stopped", SlotName(p.profile), superviseStatus)
	case start && !s.WantUp:
		return []policy.Operation{p.bringUp(causeOf(p.decision))}, nil
	case !start && (s.WantUp || s.Up()):
		return []policy.Operation{p.operation(policy.OpBringDown)}, nil
	}
	plan, err := p.downFile(slotfd)
	if err != nil || !start {
		return plan, err
	}
	change, err := p.wantedGateway(slotfd, s, runDiffers)
	return append(plan, change...), err
}

// askedFor is the cause of an operation that a user asks for and no rule wants.
const askedFor = "asked for"

// wantedGateway plans for a gateway that its supervisor wants up already.
func (p *profilePlan) wantedGateway(slotfd int, s status, runDiffers bool) ([]policy.Operation, error) {
	asked := slices.Contains(p.Start, p.profile)
	pauses, err := exists(slotfd, pauseName)
	switch {
	case slices.Contains(p.Restart, p.profile):
		return p.restart(askedFor), nil
	case err != nil:
		return nil, err
	case asked && (!s.Up() || !pauses && time.Since(s.Stamp) < p.UpFor):
		return []policy.Operation{p.bringUp(askedFor)}, nil
	case asked && pauses && p.decision.DelaySeconds <= 0:
		return p.restart(askedFor), nil
	case !s.Up():
		return nil, nil
	}
	changed, err := exists(slotfd, changedName)
	switch {
	case err != nil || !changed && !runDiffers:
		return nil, err
	case !p.RestartChanged:
		p.pending = true
		return nil, nil
	}
	return p.restart("it runs with an older run script"), nil
}

func (p *profilePlan) restart(cause string) []policy.Operation {
	down := p.operation(policy.OpBringDown)
	down.Cause, down.ThenUp = cause, true
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

// slotOperation has everything that a slot is rendered from.
func (p *profilePlan) slotOperation(op policy.Op) policy.Operation {
	o := p.operation(op)
	o.Down = new(p.decision.Action == policy.ActionDown)
	o.DelaySeconds, o.Env, o.Restart = p.decision.DelaySeconds, p.decision.Env, p.decision.Restart
	return o
}

// refuse adds an alarm about the profile; it returns no operations.
func (p *profilePlan) refuse(code string, err error) []policy.Operation {
	p.alarms = append(p.alarms, policy.Alarm{Profile: p.profile, Code: code, Reason: err.Error()})
	return nil
}
