package s6

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
	"hermes-reconcile/s6/supervise"
)

// A slotPlan is the part of a plan that concerns one profile, or the service, which has none.
// Slots are compared in parallel, so each has results of its own.
type slotPlan struct {
	*planner
	profile  string
	slot     string
	decision policy.Decision

	changes, stops, starts []policy.Operation
	said                   []string // what changes in files, in words
	diff                   string   // with PlanOptions.Diff
	alarms                 []policy.Alarm

	fresh    bool // nothing has the name of the slot yet
	free     bool // the slot has no supervisor
	idle     bool // the slot is as decided and has no supervisor
	unsealed bool // a hold keeps the gateway down, and the user could start it
	opens    bool // every user may look at the lock of its supervisor, and cannot yet
	pending  bool // the gateway runs with an older run script
	surplus  bool // the slot does not fit
}

func (s *slotPlan) isWatch() bool { return s.slot == policy.WatchSlot }

// plan plans what makes the slot as decided. A slot that cannot or must not be touched
// is an alarm.
func (s *slotPlan) plan(ctx context.Context) {
	files, err := filesOf(s.render, policy.Operation{Profile: s.profile, Slot: s.slot, Env: s.decision.Env, Restart: s.decision.Restart})
	if err != nil {
		s.alarm(alarmImpossible, fmt.Errorf("no slot can be made: %w", err))
		return
	}
	entry, exists := s.entries[s.slot]
	switch {
	case !exists:
		s.fresh = true
		s.publish()
		return
	case s.decision.Undecided && !s.guarded:
		return
	case !entry.IsDir():
		s.alarm(alarmForeign, fmt.Errorf("%s is a %s, want a directory; it is left alone", s.slot, scandir.KindOf(entry.Type())))
		return
	}
	dir, err := s.scan.OpenDir(s.slot)
	if err == nil {
		defer dir.Close()
		err = s.compare(ctx, dir, files)
	}
	switch {
	case errors.Is(err, scandir.ErrForeign):
		s.alarm(alarmForeign, fmt.Errorf("%w; it is left alone", err))
	case err != nil:
		s.alarm(alarmUnreadable, err)
	}
}

func (s *slotPlan) alarm(code string, err error) {
	s.alarms = append(s.alarms, policy.Alarm{Profile: s.profile, Code: code, Reason: err.Error()})
}

// compare plans for a slot that exists. The error wraps scandir.ErrForeign when it is not ours.
// After an error, what is planned so far still makes the slot better.
func (s *slotPlan) compare(ctx context.Context, dir beneath.Dir, files []beneath.File) error {
	differ, err := s.differing(dir, files)
	if err != nil {
		return err
	}
	if slices.Contains(differ, scripts.MarkerName) { // else it is ours
		if err := scandir.MustBeOwned(dir, s.slot); err != nil {
			return err
		}
	}
	s.describe(dir, files, differ)
	served, logged, blocked, err := s.supervisors(dir)
	if err != nil {
		return err
	}
	var f faults
	if s.guarded {
		if f, err = s.faultsOf(dir, s.partsNow(dir, s.slot, s.decision.Held)); err != nil {
			return err
		}
		if s.opens = slices.Contains(f.names, serviceLock) && isClosed(dir); s.opens && !s.Live {
			f.names = slices.DeleteFunc(f.names, func(name string) bool { return name == serviceLock }) // the next pass does it
		}
		if s.decision.Held && slices.Contains(f.names, controlName) {
			// To seal it takes a new FIFO and a new lock, because the user may have these open.
			f.names = slices.DeleteFunc(f.names, func(name string) bool { return name == controlName || name == serviceLock })
			s.unsealed = true
		}
		blocked := slices.DeleteFunc(slices.Clone(blocked), func(name string) bool { return slices.Contains(f.names, name) })
		f.names = append(f.names, blocked...)
	}
	switch {
	case s.decision.Undecided:
		s.takeBack(f, nil)
		return nil
	case !served && !logged:
		return s.unsupervised(dir, len(differ) > 0 || len(f.names) > 0 || f.odd != nil || s.unsealed || len(blocked) > 0)
	}
	s.takeBack(f, differ)
	switch {
	case !s.Live || s.isWatch():
		return s.downFile(dir)
	case !served: // its supervisor starts soon, or s6-svscan has forgotten it
		s.idle = true
		s.startAfterScan()
		return s.downFile(dir)
	}
	return s.supervised(ctx, dir, slices.Contains(differ, "run"))
}

// isClosed reports whether only root can open the lock of a slot's supervisor.
func isClosed(dir beneath.Dir) bool {
	st, err := dir.Lstat(serviceLock)
	return err == nil && st.Uid == 0 && st.Mode&0o7777 == 0o600
}

// takeBack plans for the parts of a slot that are not root's alone, and for the files that
// differ. It raises an alarm about what another user has prepared perhaps.
func (s *slotPlan) takeBack(f faults, differ []string) {
	if f.odd != nil {
		s.alarm(policy.CodeUntrusted, fmt.Errorf("%s: %w; restart the container", s.slot, f.odd))
	}
	if f.owner != "" && s.decision.Undecided {
		s.alarm(policy.CodeUntrusted, fmt.Errorf("%s: %s, who can become root; it stays so until the rules decide again", s.slot, f.owner))
		return
	}
	if f.owner != "" {
		s.alarm(policy.CodeUntrusted, fmt.Errorf("%s: %s, who could become root; it is taken back, restart the container if this user is not trusted", s.slot, f.owner))
	}
	if names := append(f.names, differ...); len(names) > 0 {
		op := s.operation(policy.OpUpdate)
		op.Env, op.Restart, op.Files, op.Held = s.decision.Env, s.decision.Restart, names, s.decision.Held
		op.Changes, op.Diff = s.said, s.diff
		wrong := func(name string) bool { return name != controlName && !(s.opens && name == serviceLock) }
		switch {
		case slices.ContainsFunc(f.names, wrong):
			op.Cause = notRoots
		case s.opens && len(names) == 1:
			op.Cause = "its supervisor runs, so every user may look at its lock"
		}
		s.changes = append(s.changes, op)
	}
}

// unsupervised makes a slot anew when it is wrong; else it makes its down file right.
func (s *slotPlan) unsupervised(dir beneath.Dir, wrong bool) error {
	same, err := s.samePause(dir)
	if err != nil {
		return err
	}
	if wrong || !same {
		s.publish()
		return nil
	}
	s.idle = true
	err = s.downFile(dir)
	s.startAfterScan()
	return err
}

// publish makes the slot, and with Live waits until its gateway runs.
func (s *slotPlan) publish() {
	op := s.operation(policy.OpPublish)
	op.Down, op.Held = new(s.decision.Action == policy.ActionDown), s.decision.Held
	op.DelaySeconds, op.Env, op.Restart = s.decision.DelaySeconds, s.decision.Env, s.decision.Restart
	op.Changes, op.Diff = s.said, s.diff
	s.changes = append(s.changes, op)
	s.startAfterScan()
}

func (s *slotPlan) startAfterScan() {
	s.free = true
	if s.Live && s.decision.Action == policy.ActionStart && !s.isWatch() {
		s.bringUp(causeOf(s.decision))
	}
}

// samePause reports whether an unsupervised slot pauses before its first start as
// decided. A supervised slot has started, so its pause is not compared.
func (s *slotPlan) samePause(dir beneath.Dir) (bool, error) {
	if pause, ok := scripts.Pause(s.decision.DelaySeconds); ok {
		return dir.Has(pause, -1)
	}
	pauses, err := dir.Exists(scripts.PauseName)
	return !pauses, err
}

// differing returns the names of the files that are not as rendered, in the order
// in which they have to be replaced. A file of another user is not as rendered. A script
// that cannot run does not replace one that perhaps can. The command of the service has the
// flags of a boot, and keeps them.
func (s *slotPlan) differing(dir beneath.Dir, files []beneath.File) ([]string, error) {
	owner := -1
	if s.guarded {
		owner = 0
	}
	var names []string
	for _, f := range files {
		same, err := dir.Has(f, owner)
		if err != nil {
			return nil, err
		}
		if !same && (len(s.render.Lacking) > 0 || s.isWatch() && s.Live && f.Name == "run") {
			st, err := dir.Lstat(f.Name)
			same = err == nil && (owner < 0 || int(st.Uid) == owner)
		}
		if !same {
			names = append(names, f.Name)
		}
	}
	return names, nil
}

// downFile makes the down file right. That of the service is its operator's.
func (s *slotPlan) downFile(dir beneath.Dir) error {
	if s.isWatch() {
		return nil
	}
	exists, err := dir.Exists(scandir.DownName)
	if want := s.decision.Action == policy.ActionDown; err == nil && exists != want {
		op := policy.OpClearDown
		if want {
			op = policy.OpMarkDown
		}
		s.changes = append(s.changes, s.operation(op))
	}
	return err
}

// statusWait is how long a supervisor gets to write its first status.
const statusWait = time.Second

// supervised starts or stops a gateway that has a supervisor, which then changes the
// down file, or makes the down file right.
func (s *slotPlan) supervised(ctx context.Context, dir beneath.Dir, runDiffers bool) error {
	var status supervise.Status
	known := poll(ctx, statusWait, func() (ok bool) { status, ok = supervise.ReadStatus(dir); return ok })
	start := s.decision.Action == policy.ActionStart
	switch {
	case !known:
		return fmt.Errorf("%s: %s makes no sense, so it is neither started nor stopped", s.slot, supervise.StatusFile)
	case start && !status.WantUp:
		s.bringUp(causeOf(s.decision))
		return nil
	case !start && (status.WantUp || status.Up() || s.unsealed):
		op := s.operation(policy.OpBringDown)
		op.Held = s.decision.Held
		s.stops = append(s.stops, op)
		return nil
	}
	if err := s.downFile(dir); err != nil || !start {
		return err
	}
	return s.wanted(dir, status, runDiffers)
}

// askedFor is the cause of an operation that a user asks for and no rule wants.
const askedFor = "asked for"

// wanted plans for a gateway that its supervisor wants up already.
func (s *slotPlan) wanted(dir beneath.Dir, status supervise.Status, runDiffers bool) error {
	asked := slices.Contains(s.Start, s.profile)
	pauses, err := dir.Exists(scripts.PauseName)
	switch {
	case slices.Contains(s.Restart, s.profile):
		s.restart(askedFor)
		return nil
	case err != nil:
		return err
	case asked && (!status.Up() || !pauses && time.Since(status.Stamp) < s.UpFor):
		s.bringUp(askedFor)
		return nil
	case asked && pauses && s.decision.DelaySeconds <= 0:
		s.restart(askedFor)
		return nil
	case !status.Up():
		return nil
	}
	changed, err := dir.Exists(scripts.ChangedName)
	switch {
	case err != nil || !changed && !runDiffers:
		return err
	case s.RestartChanged:
		s.restart("it runs with an older run script")
	default:
		s.pending = true
	}
	return nil
}

func (s *slotPlan) restart(cause string) {
	down := s.operation(policy.OpBringDown)
	down.Cause, down.ThenUp = cause, true
	s.stops = append(s.stops, down)
	s.bringUp(cause)
}

func (s *slotPlan) bringUp(cause string) {
	op := s.operation(policy.OpBringUp)
	op.Cause, op.DelaySeconds = cause, s.decision.DelaySeconds
	s.starts = append(s.starts, op)
}

func (s *slotPlan) operation(op policy.Op) policy.Operation {
	return policy.Operation{Op: op, Profile: s.profile, Slot: s.slot, Cause: causeOf(s.decision)}
}
