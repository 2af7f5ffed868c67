package s6

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/policy/wait"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/supervise"
)

// settle is how long s6-svscan gets to notice that a slot is away. Nothing shows that
// a scan is over.
const settle = 300 * time.Millisecond

// rescan asks s6-svscan for a scan and waits until every slot of ours is supervised.
// From s6 2.12 on, s6-svscan forgets slots that an aborted scan has met, and supervisors
// that ended in their first second: later scans do not start them. Such slots are taken
// away and brought back once (seen to work with 2.13 and 2.15). The error names the slots
// that stay without a supervisor.
func (x *execution) rescan(ctx context.Context) (done bool, err error) {
	if err := x.mayScan(); err != nil {
		return false, err
	}
	err = x.ask(ctx, supervise.Svscan, x.scan.Dir, "a")
	if errors.Is(err, supervise.ErrNobody) {
		return false, fmt.Errorf("no s6-svscan works on %s", x.ScanDir)
	}
	if err != nil {
		return false, fmt.Errorf("ask s6-svscan for a scan: %w", err)
	}
	defer wait.For(ctx, "s6-svscan to supervise every slot", x.Wait)()
	waiting, err := x.ownSlots()
	if err != nil {
		return false, err
	}
	supervised := func() bool {
		waiting = slices.DeleteFunc(waiting, x.isSupervised)
		return len(waiting) == 0
	}
	if !poll(ctx, x.Wait/2, supervised) && ctx.Err() == nil {
		x.Log.Warn("slots are forgotten by s6-svscan, taken away and brought back", "slots", len(waiting))
		if err := x.takeAwayAndBack(ctx, waiting); err != nil {
			return false, err
		}
		poll(ctx, x.Wait/2, supervised)
	}
	if len(waiting) > 0 {
		err := fmt.Errorf("not supervised after %v: %s", x.Wait, policy.Few(waiting))
		return false, errors.Join(err, ctx.Err())
	}
	return true, nil
}

// ownSlots lists the slots of ours, by name.
func (x *execution) ownSlots() ([]string, error) {
	names, err := x.scan.Names(".", scandir.MaxEntries)
	if err != nil {
		return nil, fmt.Errorf("read the scan directory: %w", err)
	}
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasPrefix(name, policy.SlotPrefix) && name != policy.WatchSlot || !x.scan.IsOurs(name)
	}), nil
}

// isSupervised reports whether a slot has both supervisors, or was removed meanwhile. It
// makes the locks right: no other process keeps a supervisor from starting, and every user
// may look at the lock of one that runs.
func (x *execution) isSupervised(slot string) bool {
	dir, err := x.scan.OpenDir(slot)
	if err != nil {
		return true
	}
	defer dir.Close()
	both := true
	for _, p := range supervise.OfSlot {
		runs, pid, err := p.Runs(dir)
		if err == nil && !runs && pid != 0 && x.guards() {
			err = x.renewLock(dir, p)
		}
		both = both && err == nil && runs
	}
	if both {
		x.openLock(dir)
	}
	return both
}

// openLock opens the lock of a supervisor that runs to every user, unless root alone may
// control it. After an error, and in slots that another scan started, the next pass does it.
func (x *execution) openLock(slot beneath.Dir) {
	control, err := slot.Lstat(controlName)
	if err != nil || !x.guards() || control.Mode&0o777 != controlMode {
		return
	}
	if lock, err := slot.Lstat(serviceLock); err == nil && lock.Mode&0o777 != openLockMode {
		_ = x.takePart(context.Background(), slot, part{name: serviceLock, kind: unix.S_IFREG, mode: openLockMode})
	}
}

// takeAwayAndBack renames slots to staging names, has s6-svscan forget them and their
// loggers, renames them back and asks for a scan. A slot whose gateway has its supervisor
// stays in place. After an interruption the slot is missing, and the next run removes the
// leftover and makes the slot.
func (x *execution) takeAwayAndBack(ctx context.Context, slots []string) error {
	var all []*transition
	for _, name := range slots {
		slot, err := x.scan.OpenDir(name)
		if err != nil {
			continue
		}
		defer slot.Close()
		if service, _, err := supervise.Held(slot); err == nil && !service {
			all = append(all, &transition{result: &policy.Result{Operation: policy.Operation{Slot: name}}, slot: slot, name: name})
		}
	}
	x.setAside(all)
	away := withoutError(all)
	errs := []error{supervise.Svscan.Ask(x.scan.Dir, "an")}
	poll(ctx, settle, func() bool { return false })
	x.release(ctx, away)
	for _, t := range withoutError(away) {
		if err := x.scan.Rename(t.name, t.result.Operation.Slot); err != nil {
			finish(t.result, false, fmt.Errorf("bring it back: %w", err))
		}
	}
	for _, t := range all {
		errs = append(errs, t.result.Err)
	}
	return errors.Join(append(errs, supervise.Svscan.Ask(x.scan.Dir, "a"))...)
}
