package s6

import (
	"fmt"

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
}

// operations returns what makes the slot as decided. A slot that cannot or must
// not be touched is an alarm, and the other profiles go on.
func (p *profilePlan) operations() []policy.Operation {
	files, err := p.render.files(p.profile, p.decision.DelaySeconds, p.decision.Env, p.decision.Restart)
	if err != nil {
		return p.refuse(alarmImpossible, fmt.Errorf("no slot can be made: %w", err))
	}
	slot := slotName(p.profile)
	entry, there := p.entries[slot]
	if !there {
		return []policy.Operation{p.slotOperation(policy.OpPublish)}
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
		return p.refuse(alarmForeign, fmt.Errorf("%s was not made by hermes-reconcile: it has no %s; it is left alone", slotName(p.profile), markerName))
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
		if len(differ) > 0 || stranger != "" {
			return []policy.Operation{p.slotOperation(policy.OpPublish)}
		}
		p.idle = true
		return p.downFile(slotfd)
	}
	if stranger != "" {
		_ = p.refuse(alarmOwner, fmt.Errorf("%s: a user who owns part of a slot can become root; it is made anew once nothing supervises it", stranger))
	}
	var plan []policy.Operation
	if len(differ) > 0 {
		op := p.slotOperation(policy.OpUpdate)
		op.Down, op.Files = nil, differ
		plan = append(plan, op)
	}
	return append(append(plan, p.downFile(slotfd)...), p.live(slotfd)...)
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
			return fmt.Sprintf("%s of %s belongs to uid %d", name, slotName(p.profile), st.Uid), nil
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

// live starts or stops what runs, where that is wanted.
func (p *profilePlan) live(slotfd int) []policy.Operation {
	if !p.Live {
		return nil
	}
	s, ok := statusOf(slotfd)
	switch {
	case !ok:
		return nil
	case p.decision.Action == policy.ActionStart && !s.WantUp:
		return []policy.Operation{p.operation(policy.OpBringUp)}
	case p.decision.Action == policy.ActionDown && (s.WantUp || s.Up()):
		return []policy.Operation{p.operation(policy.OpBringDown)}
	}
	return nil
}

func (p *profilePlan) operation(op policy.Op) policy.Operation {
	return policy.Operation{Op: op, Profile: p.profile, Slot: slotName(p.profile), Cause: causeOf(p.decision)}
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
