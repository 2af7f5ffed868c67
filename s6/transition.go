package s6

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// A transition is one supervised slot from its control command until its gateway is
// up or down. The progress decides, and this file looks and asks.
type transition struct {
	progress
	result  *policy.Result
	fd      int
	killing error // of the command that kills
}

// command is the control command of the transition. With "U" the supervisor also
// removes the down file, with "D" it makes one, so a new supervisor does the same.
func (t *transition) command() string {
	if t.up {
		return "U"
	}
	return "D"
}

// bring starts or stops the gateways of supervised slots, all at once. It waits
// until those that start have been up for UpFor, or until those that stop and their
// finish scripts are gone. A gateway that ends before UpFor is an error with its
// exit code. A slot that nothing supervises is down.
//
// A restart is a bring-down and a bring-up: the control commands that restart leave
// a gateway down whose finish script exits with 125 (seen with s6 2.11 and 2.15).
func (x *execution) bring(ctx context.Context, results []policy.Result) {
	var going []*transition
	defer func() {
		for _, t := range going {
			_ = unix.Close(t.fd)
		}
	}()
	for i := range results {
		t, err := x.beginTransition(ctx, &results[i])
		if err != nil {
			finish(&results[i], false, err)
		} else if t != nil {
			going = append(going, t)
		}
	}
	late := slices.Clone(going)
	if x.NoWait {
		late = slices.DeleteFunc(late, func(t *transition) bool {
			t.result.Done = !t.thenUp
			return !t.thenUp
		})
	}
	late = x.waitFor(ctx, late)
	if x.Kill && results[0].Operation.Op == policy.OpBringDown && len(late) > 0 && ctx.Err() == nil {
		for _, t := range late {
			t.killing = x.killGateway(ctx, t.fd, t.result.Operation.Slot)
		}
		late = x.waitFor(ctx, late)
	}
	for _, t := range late {
		finish(t.result, false, errors.Join(t.killing, x.lateness(t), ctx.Err()))
	}
}

// beginTransition writes the control command. It returns nil when the gateway is
// there already.
func (x *execution) beginTransition(ctx context.Context, result *policy.Result) (*transition, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	op := result.Operation
	up := op.Op == policy.OpBringUp
	fd, before, err := x.openSupervised(op.Slot)
	if !up && (errors.Is(err, errNobody) || errors.Is(err, fs.ErrNotExist)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := &transition{result: result, fd: fd, progress: progress{
		up: up, thenUp: op.ThenUp, upFor: x.UpFor, before: before, death: lastDeath(fd), askedAt: time.Now(),
	}}
	downFile, err := exists(fd, downName)
	there := t.isThere(t.askedAt, downFile)
	if err == nil && !there && up {
		err = x.prepareStart(t)
	}
	if err == nil && !there {
		err = x.askSupervisor(ctx, fd, t.command())
	}
	if !up && errors.Is(err, errNobody) {
		there, err = true, nil // its supervisor has ended
	}
	if err != nil || there {
		_ = unix.Close(fd)
		return nil, err
	}
	return t, nil
}

// waitFor waits until each transition is done or has failed, and returns those that
// are neither in time.
func (x *execution) waitFor(ctx context.Context, going []*transition) (late []*transition) {
	late = slices.Clone(going)
	poll(ctx, x.Wait, func() bool {
		late = slices.DeleteFunc(late, func(t *transition) bool { return x.advance(ctx, t) })
		return len(late) == 0
	})
	return late
}

// advance looks at a slot once and reports whether its transition is over.
func (x *execution) advance(ctx context.Context, t *transition) bool {
	progress, verdict, err := t.next(x.lookAt(t))
	t.progress = progress
	if verdict == askAgain {
		if err = x.askSupervisor(ctx, t.fd, t.command()); err != nil {
			verdict = failed
		}
	}
	if verdict != done && verdict != failed {
		return false
	}
	finish(t.result, verdict == done, err)
	return true
}

// lookAt sees what next has to know.
func (x *execution) lookAt(t *transition) sight {
	s := sight{now: time.Now(), gone: x.isGone(t)}
	if !t.up {
		held, _, err := lockHolder(t.fd, superviseLock)
		s.unsupervised = err == nil && !held
	}
	s.status, s.known = statusOf(t.fd)
	s.death = lastDeath(t.fd)
	s.downFile, s.err = exists(t.fd, downName)
	return s
}

// isGone reports whether the slot was removed meanwhile, or another is in its place.
// That happens to users who cannot take the lock.
func (x *execution) isGone(t *transition) bool {
	var was, is unix.Stat_t
	if unix.Fstat(t.fd, &was) != nil {
		return false
	}
	err := unix.Fstatat(x.scan.fd, t.result.Operation.Slot, &is, unix.AT_SYMLINK_NOFOLLOW)
	return isAbsent(err) || err == nil && is.Ino != was.Ino
}

func (x *execution) killGateway(ctx context.Context, slotfd int, slot string) error {
	s, _ := statusOf(slotfd)
	x.Log.Warn("a gateway does not stop and is killed", "slot", slot, "pid", s.PID)
	return x.askSupervisor(ctx, slotfd, "k")
}

func (x *execution) lateness(t *transition) error {
	if t.up {
		return fmt.Errorf("the gateway is not up after %v", x.Wait)
	}
	return x.notDown(t.fd)
}

func (x *execution) notDown(slotfd int) error {
	if s, _ := statusOf(slotfd); s.Up() {
		return fmt.Errorf("the gateway is not down after %v: pid %d still runs", x.Wait, s.PID)
	}
	return fmt.Errorf("the gateway is not down after %v", x.Wait)
}

// prepareStart forgets the deaths that were counted, and sets the pause that the
// rules want now. Both need ownership of the slot; without it the start goes ahead.
func (x *execution) prepareStart(t *transition) error {
	err := unix.Unlinkat(t.fd, tallyName, 0)
	if err != nil && !isAbsent(err) && !isForbidden(err) {
		return fmt.Errorf("remove %s: %w", tallyName, err)
	}
	if pause, ok := pauseFile(t.result.Operation.DelaySeconds); ok {
		err = x.replaceFile(t.fd, pause)
	} else {
		err = unix.Unlinkat(t.fd, pauseName, 0)
	}
	if err != nil && !isAbsent(err) && !isForbidden(err) {
		return fmt.Errorf("set %s: %w", pauseName, err)
	}
	return nil
}

// lastDeath is the newest record of the death_tally file, "" without one.
func lastDeath(slotfd int) string {
	data, err := readRegular(slotfd, superviseDeaths)
	if err != nil || len(data) < deathSize {
		return ""
	}
	return string(data[len(data)-deathSize:])
}

// openSupervised opens a slot of ours that has a supervisor; the error wraps
// errNobody when it has none.
func (x *execution) openSupervised(slot string) (int, status, error) {
	slotfd, err := openOwned(x.scan.fd, slot)
	if err != nil {
		return -1, status{}, err
	}
	held, _, err := lockHolder(slotfd, superviseLock)
	if err == nil && !held {
		err = fmt.Errorf("no supervisor has it, s6-svscan has to scan first: %w", errNobody)
	}
	if err != nil {
		_ = unix.Close(slotfd)
		return -1, status{}, err
	}
	s, _ := statusOf(slotfd)
	return slotfd, s, nil
}
