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
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/policy/wait"
	"hermes-reconcile/s6/progress"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/supervise"
)

// A transition is one slot until its gateway is up or down, or the slot is removed. Its
// progress decides; this file looks and asks.
type transition struct {
	progress.Progress
	result  *policy.Result
	slot    beneath.Dir // stays open, so that its locks are found under any name
	name    string      // under which the slot is in the scan directory now
	killing error       // of the command that kills

	began     time.Time
	seal      bool             // the slot is to be sealed once the gateway is down
	overruled bool             // see overrule
	orphans   []supervise.Task // of the supervisor that was overruled

	// The gateway that is stopped, and the processes that it started; see endRemains.
	gateway      supervise.Task
	before, left []supervise.Task
}

func (x *execution) newTransition(r *policy.Result, slot beneath.Dir, p progress.Progress) *transition {
	p.ThenUp = r.Operation.ThenUp
	p.Before, _ = supervise.ReadStatus(slot)
	return &transition{Progress: p, result: r, slot: slot, name: r.Operation.Slot, gateway: supervise.GatewayOf(p.Before)}
}

// overruleAfter is how long a supervisor gets to want a gateway down.
const overruleAfter = 1500 * time.Millisecond

// command is the control command of the transition. With "U" the supervisor also
// removes the down file, with "D" it makes one, so a new supervisor does the same.
func (t *transition) command() string {
	if t.Up {
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
	up := results[0].Operation.Op == policy.OpBringUp
	all, end := x.move(ctx, results, progress.Progress{Up: up}, func(r *policy.Result) (beneath.Dir, error) {
		slot, err := scandir.OpenOwned(x.scan.Dir, r.Operation.Slot)
		if !up && errors.Is(err, fs.ErrNotExist) {
			return -1, nil
		}
		return slot, err
	})
	defer end()
	for _, t := range all {
		if err := t.remains(); err != nil {
			finish(t.result, false, err)
		}
	}
}

// move opens slots, starts or stops their gateways all at once, and waits for that. -1 from
// open is nothing. end closes the slots and undoes what was only for the move.
func (x *execution) move(ctx context.Context, results []policy.Result, p progress.Progress, open func(*policy.Result) (beneath.Dir, error)) (all []*transition, end func()) {
	var going, stopped []*transition
	var ends []func()
	var tasks supervise.Tasks
	looks := p.Removing || !p.Up && !x.NoWait // for what the gateways started
	if looks {
		tasks = x.tasks()
	}
	for i := range results {
		r := &results[i]
		slot, err := beneath.Dir(-1), ctx.Err()
		if err == nil {
			slot, err = open(r)
		}
		if err != nil || slot < 0 {
			finish(r, r.Done, err)
			continue
		}
		ends = append(ends, slot.Close)
		t := x.newTransition(r, slot, p)
		all = append(all, t)
		if looks && (x.Kill || !t.ThenUp) {
			t.before = tasks.Of(t.gateway, x.slotPath(t.name), nil)
			stopped = append(stopped, t)
		}
		moves := false
		if !p.Up {
			var reopen func()
			reopen, err = x.shut(t)
			ends = append(ends, reopen)
		}
		if err == nil {
			moves, err = x.begins(ctx, t)
		}
		switch {
		case err != nil:
			finish(r, false, err)
		case moves && !p.Removing && x.NoWait && !t.ThenUp && !t.seal:
			r.Done = true
		case moves:
			going = append(going, t)
		}
	}
	x.complete(ctx, going)
	x.endRemains(ctx, stopped)
	return all, func() {
		for _, end := range slices.Backward(ends) {
			end()
		}
	}
}

// begins writes the control command. It reports false when the gateway is as wanted already.
func (x *execution) begins(ctx context.Context, t *transition) (moves bool, err error) {
	held, _, err := supervise.Service.Runs(t.slot)
	switch {
	case err != nil:
		return false, err
	case !held && t.Up:
		return false, fmt.Errorf("no supervisor has it, s6-svscan has to scan first: %w", supervise.ErrNobody)
	case !held:
		return false, nil
	}
	t.UpFor, t.Death, t.began = x.UpFor, supervise.ReadDeaths(t.slot).Last, time.Now()
	t.AskedAt = t.began
	t.Before, _ = supervise.ReadStatus(t.slot)
	exists, err := t.slot.Exists(scandir.DownName)
	switch {
	case err != nil:
		return false, err
	case t.IsThere(exists):
		if !t.seal {
			return false, nil
		}
		return true, x.overrule(ctx, t)
	}
	// A supervisor that wants it up already has started a new slot by itself, unless a user asks.
	if t.Up && (!t.Before.WantUp || t.result.Operation.Cause == askedFor) {
		if err := x.prepareStart(t); err != nil {
			return false, err
		}
	}
	err = x.ask(ctx, supervise.Service, t.slot, t.command())
	if !t.Up && errors.Is(err, supervise.ErrNobody) {
		return false, nil // its supervisor has ended
	}
	if !t.Up && errors.Is(err, supervise.ErrFull) && x.guards() {
		return true, x.overrule(ctx, t)
	}
	if beneath.IsForbidden(err) && !x.Root {
		err = fmt.Errorf("%w; a hold kept it down, and root has not called hermes-reconcile apply since", err)
	}
	// A new slot's gateway may have ended before the command, which then starts another one.
	t.Death = supervise.ReadDeaths(t.slot).Last
	return err == nil, err
}

// complete waits until each transition is done or has failed. With Kill it kills the
// gateways that do not stop in time, and waits once more.
func (x *execution) complete(ctx context.Context, going []*transition) {
	late, waited := x.waitFor(ctx, x.Wait, going), x.Wait
	killed := false
	for _, t := range late {
		switch {
		case t.Up || ctx.Err() != nil:
			continue
		case t.overruled: // nobody else would end its gateway
			t.killing = t.signalOrphans(unix.SIGKILL)
		case x.Kill:
			s, _ := supervise.ReadStatus(t.slot)
			x.Log.Warn("a gateway does not stop and is killed", "slot", t.result.Operation.Slot, "pid", s.PID)
			t.killing = x.ask(ctx, supervise.Service, t.slot, "k")
		default:
			continue
		}
		killed = true
	}
	if killed {
		late = x.waitFor(ctx, max(x.Wait, afterKill), late)
		waited += max(x.Wait, afterKill)
	}
	for _, t := range late {
		finish(t.result, false, errors.Join(t.killing, t.lateness(waited), ctx.Err()))
	}
}

// afterKill is the least that a killed gateway's finish script and a supervisor that is
// started anew get.
const afterKill = 5 * time.Second

// waitFor waits until each transition is done or has failed, and returns those that
// are neither in time.
func (x *execution) waitFor(ctx context.Context, limit time.Duration, going []*transition) (late []*transition) {
	late = slices.Clone(going)
	var names []string
	for _, t := range late {
		names = append(names, t.result.Operation.Profile)
	}
	defer wait.For(ctx, policy.Few(names), limit)()
	poll(ctx, limit, func() bool {
		late = slices.DeleteFunc(late, func(t *transition) bool { return x.advance(ctx, t) })
		return len(late) == 0
	})
	return late
}

// advance looks at a slot once and reports whether its transition is over.
func (x *execution) advance(ctx context.Context, t *transition) bool {
	if t.overruled {
		over := x.overruledIsOver(t)
		if over {
			finish(t.result, true, nil)
		}
		return over
	}
	seen := x.lookAt(t)
	next, verdict, err := t.Next(seen)
	t.Progress = next
	if verdict == progress.AskAgain {
		if err = x.ask(ctx, supervise.Service, t.slot, t.command()); err != nil {
			verdict = progress.Failed
		}
	}
	fights := seen.Status.WantUp && time.Since(t.began) > overruleAfter || errors.Is(err, supervise.ErrFull)
	if verdict == progress.Done && t.seal && !seen.Gone || !t.Up && !t.ThenUp && verdict != progress.Done && fights && x.guards() {
		if err := x.overrule(ctx, t); err != nil {
			finish(t.result, false, err)
			return true
		}
		return false
	}
	if verdict != progress.Done && verdict != progress.Failed {
		return false
	}
	finish(t.result, verdict == progress.Done, err)
	return true
}

// lookAt sees what Next has to know.
func (x *execution) lookAt(t *transition) progress.Sight {
	s := progress.Sight{Now: time.Now(), Gone: x.isGone(t)}
	if !t.Up {
		held, _, err := supervise.Service.Runs(t.slot)
		s.Unsupervised = err == nil && !held
	}
	s.Status, s.Known = supervise.ReadStatus(t.slot)
	s.Death = supervise.ReadDeaths(t.slot).Last
	s.DownFile, s.Err = t.slot.Exists(scandir.DownName)
	return s
}

// isGone reports whether the slot was removed meanwhile, or another is in its place.
// That happens to users who cannot take the lock.
func (x *execution) isGone(t *transition) bool {
	var was unix.Stat_t
	if unix.Fstat(int(t.slot), &was) != nil {
		return false
	}
	is, err := x.scan.Lstat(t.result.Operation.Slot)
	return beneath.IsAbsent(err) || err == nil && is.Ino != was.Ino
}

func (t *transition) lateness(waited time.Duration) error {
	if t.Up {
		return fmt.Errorf("the gateway is not up after %v", waited)
	}
	if s, _ := supervise.ReadStatus(t.slot); s.Up() {
		why := ""
		if held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_KILL, 0, 0, 0); err == nil && held == 0 {
			why = "; this container lacks CAP_KILL, without which root may not signal another user's process (cap_add KILL)"
		}
		return fmt.Errorf("the gateway is not down after %v: pid %d still runs%s", waited, s.PID, why)
	}
	return fmt.Errorf("the gateway is not down after %v", waited)
}
