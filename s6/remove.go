package s6

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/policy/wait"
	"hermes-reconcile/s6/progress"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/supervise"
)

// removeAll removes slots in the order that leaves no supervisor behind: stop
// the gateway, rename the directory to a name that s6-svscan ignores, have it
// scan and prune, wait until both locks are free, and only then remove the tree.
// All of them take each step together, since s6-svscan from 2.12 on aborts a scan
// when a name disappears meanwhile. A leftover of an interrupted run has a staging
// name already.
func (x *execution) removeAll(ctx context.Context, results []policy.Result) {
	const atOnce = 250 // directories that are open
	for some := range slices.Chunk(results, atOnce) {
		x.removeTogether(ctx, some)
	}
}

func (x *execution) removeTogether(ctx context.Context, results []policy.Result) {
	all, end := x.move(ctx, results, progress.Progress{Removing: true}, x.openRemoval)
	defer end()
	going := withoutError(all) // what they started is gone before the logger, which it may write to
	x.setAside(going)
	going = withoutError(going)
	x.release(ctx, going)
	for _, t := range withoutError(going) {
		err := cmp.Or(x.scan.RemoveTree(t.name), t.remains())
		finish(t.result, err == nil, err)
	}
}

func withoutError(all []*transition) []*transition {
	return slices.DeleteFunc(slices.Clone(all), func(t *transition) bool { return t.result.Err != nil })
}

// openRemoval opens what is to be removed; -1 is nothing. The down file keeps the gateway
// down also when this run is interrupted. A leftover that is not a directory is removed
// at once.
func (x *execution) openRemoval(r *policy.Result) (beneath.Dir, error) {
	name := r.Operation.Slot
	if scandir.IsStaging(name) {
		slot, err := x.scan.OpenDir(name)
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			err = x.scan.Remove(name)
			r.Done = err == nil
		}
		if errors.Is(err, unix.ENOENT) {
			err = nil
		}
		return slot, err
	}
	slot, err := scandir.OpenOwned(x.scan.Dir, name)
	if errors.Is(err, unix.ENOENT) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	if err := slot.Create(scandir.DownFile); err != nil && !errors.Is(err, unix.EEXIST) {
		slot.Close()
		return -1, err
	}
	return slot, nil
}

// setAside renames the slots to names that s6-svscan ignores.
func (x *execution) setAside(going []*transition) {
	for _, t := range going {
		if scandir.IsStaging(t.name) {
			continue
		}
		name := scandir.StagingName()
		if err := x.scan.Rename(t.name, name); err != nil {
			finish(t.result, false, fmt.Errorf("rename out of the way: %w", err))
			continue
		}
		t.name = name
	}
}

// release ends the supervisors of the slots and waits until their locks are free. A
// logger ends when it has read everything. In the second half of the time, a signal
// ends loggers whose pipe another process keeps open, and the supervisors are asked
// directly: the supervisors of an s6-svscan that died are not children of the next one.
func (x *execution) release(ctx context.Context, going []*transition) {
	defer wait.For(ctx, "the supervisors of slots to end", x.Wait)()
	held := slices.Clone(going)
	free := func() bool {
		held = slices.DeleteFunc(held, func(t *transition) bool {
			service, logger, err := supervise.Held(t.slot)
			return err == nil && !service && !logger
		})
		return len(held) == 0
	}
	for _, commands := range []string{"an", "aN"} {
		if free() {
			break
		}
		// s6-svscan would otherwise start a supervisor again.
		err := x.ask(ctx, supervise.Svscan, x.scan.Dir, commands)
		nobody := errors.Is(err, supervise.ErrNobody)
		if err != nil && !nobody {
			x.Log.Warn("s6-svscan was not asked to prune", "err", err)
		}
		if nobody || commands == "aN" {
			x.askSupervisors(held)
		}
		poll(ctx, x.Wait/2, free)
	}
	for _, t := range held {
		err := fmt.Errorf("its supervisor has not ended after %v; it is left as %s for the next run", x.Wait, t.name)
		finish(t.result, false, errors.Join(err, ctx.Err()))
	}
}

func (x *execution) askSupervisors(held []*transition) {
	for _, t := range held {
		for _, supervisor := range supervise.OfSlot {
			if err := supervisor.Ask(t.slot, "dx"); err != nil && !errors.Is(err, supervise.ErrNobody) {
				x.Log.Warn("a supervisor was not asked to end", "slot", t.result.Operation.Slot, "err", err)
			}
		}
	}
}
