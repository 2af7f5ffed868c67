package s6

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// A removal is one slot that is being removed. Its directory stays open, so that its
// locks are found under any name.
type removal struct {
	result   *policy.Result
	fd       int
	name     string // under which it is in the scan directory now
	stopping error  // of the last command that stops or kills the gateway
}

// removeAll removes slots in the order that leaves no supervisor behind: stop
// the gateway, rename the directory to a name that s6-svscan ignores, have it
// scan and prune, wait until both locks are free, and only then remove the tree.
// All of them take each step together, since s6-svscan from 2.12 on aborts a scan
// when a name disappears meanwhile. A leftover of an interrupted run has a staging
// name already.
func (x *execution) removeAll(ctx context.Context, results []policy.Result) {
	for some := range slices.Chunk(results, removeAtOnce) {
		x.removeTogether(ctx, some)
	}
}

// removeAtOnce bounds how many directories a removal keeps open.
const removeAtOnce = 250

func (x *execution) removeTogether(ctx context.Context, results []policy.Result) {
	if err := ctx.Err(); err != nil {
		for i := range results {
			results[i].Err = err
		}
		return
	}
	var going []*removal
	for i := range results {
		r, err := x.beginRemoval(&results[i])
		if err != nil {
			finish(&results[i], false, err)
		} else if r != nil {
			going = append(going, r)
		}
	}
	going = x.waitDown(ctx, going)
	going = x.setAside(going)
	going = x.release(ctx, going)
	for _, r := range going {
		finish(r.result, true, x.scan.removeTree(r.name))
		_ = unix.Close(r.fd)
	}
}

func (r *removal) fail(err error) { finish(r.result, false, err) }

// beginRemoval asks the gateway to stop. The down file keeps it down also when this
// run is interrupted. It returns nil when there is nothing to remove.
func (x *execution) beginRemoval(result *policy.Result) (*removal, error) {
	name := result.Operation.Slot
	if isStaging(name) {
		return x.beginLeftover(result)
	}
	fd, err := openOwned(x.scan.fd, name)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = x.makeDown(fd)
	if err == nil {
		err = stop(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &removal{result: result, fd: fd, name: name}, nil
}

func stop(slotfd int) error {
	err := writeControl(slotfd, superviseControl, "d")
	if errors.Is(err, errNobody) {
		return nil
	}
	return err
}

// beginLeftover opens a directory that an interrupted run left. A file, which would
// have become part of a slot, is removed at once.
func (x *execution) beginLeftover(result *policy.Result) (*removal, error) {
	name := result.Operation.Slot
	fd, err := openDirectory(x.scan.fd, name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, nil
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		err := x.scan.root.Remove(name)
		result.Done = err == nil
		return nil, err
	case err != nil:
		return nil, err
	}
	if err := stop(fd); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &removal{result: result, fd: fd, name: name}, nil
}

func isStaging(name string) bool { return strings.HasPrefix(name, stagingPrefix) }

// waitDown waits until the gateways are down, and stops those that another user starts
// meanwhile. Gateways that do not stop are killed with Kill; else their removal fails,
// and they keep their slots with a down file.
func (x *execution) waitDown(ctx context.Context, going []*removal) []*removal {
	var late []*removal
	down := func() bool {
		_, late = split(going, func(r *removal) bool { return isDown(r.fd) })
		for _, r := range late {
			if s, _ := statusOf(r.fd); s.WantUp {
				r.stopping = stop(r.fd)
			}
		}
		return len(late) == 0
	}
	if !poll(ctx, x.Wait, down) && x.Kill && ctx.Err() == nil {
		for _, r := range late {
			r.stopping = x.killGateway(ctx, r.fd, r.result.Operation.Slot)
		}
		poll(ctx, x.Wait, down)
	}
	for _, r := range late {
		r.fail(errors.Join(r.stopping, x.notDown(r.fd), ctx.Err()))
	}
	return keepGoing(going)
}

// isDown reports whether no gateway of the slot runs and none will by itself: a
// slot without a supervisor is down.
func isDown(slotfd int) bool {
	held, _, err := lockHolder(slotfd, superviseLock)
	if err != nil {
		return false
	}
	s, ok := statusOf(slotfd)
	return !held || ok && s.Down() && !s.WantUp
}

// setAside renames the slots to names that s6-svscan ignores.
func (x *execution) setAside(going []*removal) []*removal {
	for _, r := range going {
		if isStaging(r.name) {
			continue
		}
		name := x.stagingName()
		if err := unix.Renameat2(x.scan.fd, r.name, x.scan.fd, name, unix.RENAME_NOREPLACE); err != nil {
			r.fail(fmt.Errorf("rename out of the way: %w", err))
			continue
		}
		r.name = name
	}
	return keepGoing(going)
}

// release ends the supervisors of the slots and waits until their locks are free. A
// logger ends when it has read everything. In the second half of the time, a signal
// ends loggers whose pipe another process keeps open, and the supervisors are asked
// directly: the supervisors of an s6-svscan that died are not children of the next one.
func (x *execution) release(ctx context.Context, going []*removal) []*removal {
	var held []*removal
	free := func() bool {
		_, held = split(going, func(r *removal) bool {
			s, err := supervisionOf(r.fd)
			return err == nil && !s.Any()
		})
		return len(held) == 0
	}
	for _, commands := range []string{"an", "aN"} {
		if free() {
			break
		}
		if !x.askedSvscan(ctx, commands) || commands == "aN" {
			x.askSupervisors(held)
		}
		poll(ctx, x.Wait/2, free)
	}
	for _, r := range held {
		r.fail(errors.Join(fmt.Errorf("its supervisor has not ended after %v; it is left as %s for the next run", x.Wait, r.name), ctx.Err()))
	}
	return keepGoing(going)
}

// askedSvscan asks s6-svscan, which would otherwise start a supervisor again, and
// reports whether one runs.
func (x *execution) askedSvscan(ctx context.Context, commands string) bool {
	err := x.askSvscan(ctx, commands)
	if errors.Is(err, errNobody) {
		return false
	}
	if err != nil {
		x.Log.Warn("s6-svscan was not asked to prune", "err", err)
	}
	return true
}

func (x *execution) askSupervisors(held []*removal) {
	for _, r := range held {
		for _, control := range []string{superviseControl, logControl} {
			if err := writeControl(r.fd, control, "dx"); err != nil && !errors.Is(err, errNobody) {
				x.Log.Warn("a supervisor was not asked to end", "slot", r.result.Operation.Slot, "err", err)
			}
		}
	}
}

func split(all []*removal, yes func(*removal) bool) (is, isNot []*removal) {
	for _, r := range all {
		if yes(r) {
			is = append(is, r)
		} else {
			isNot = append(isNot, r)
		}
	}
	return is, isNot
}

// keepGoing returns the removals that have not failed, and closes the others.
func keepGoing(all []*removal) []*removal {
	well, failed := split(all, func(r *removal) bool { return r.result.Err == nil })
	for _, r := range failed {
		_ = unix.Close(r.fd)
	}
	return well
}
