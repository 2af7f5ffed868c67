package s6

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/progress"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/supervise"
)

// controlName is the FIFO of a slot to which control commands for the gateway are written.
// Under strict ownership root decides who may open it:
//
//	the user's group, 0620   the user may start and stop the gateway
//	the user's group, 0600   root is stopping the gateway
//	root's group, 0600       the slot is sealed: a hold keeps the gateway down
//
// A process that has the FIFO open keeps its right, whatever the mode. So to seal a slot
// is to make another FIFO, and to have s6-svscan start another supervisor, which opens it.
const controlName = "supervise/control"

const sealedMode = 0o600

// guards reports whether this process decides who may open control FIFOs.
func (e *Executor) guards() bool { return e.strict() && e.User.GID != 0 }

// shut keeps the user from the control FIFO while a gateway is stopped, and makes the down
// file, which a supervisor that is started anew reads. It sets whether the slot is to be
// sealed, which it is not yet. reopen undoes what is only for the stop; its error becomes one
// of the result. Nothing is done where there is nothing to stop and the user may start it.
func (x *execution) shut(t *transition) (reopen func(), err error) {
	op := t.result.Operation
	reopen = func() {}
	st, err := t.slot.Lstat(controlName)
	isOpen := err == nil && st.Mode&0o777 == controlMode // else an interrupted stop has left it
	if !x.guards() || isOpen && !t.Removing && !op.Held && staysDown(t.slot) {
		return reopen, nil
	}
	if !op.ThenUp {
		if err := t.slot.Create(scandir.DownFile); err != nil && !errors.Is(err, unix.EEXIST) {
			return reopen, err
		}
	}
	if err == nil && st.Gid == 0 && st.Mode&0o077 == 0 { // sealed already
		return reopen, nil
	}
	control := part{name: controlName, kind: unix.S_IFIFO, mode: sealedMode, group: true}
	if err := x.takePart(context.Background(), t.slot, control); err != nil && !beneath.IsAbsent(err) {
		return reopen, fmt.Errorf("take %s back: %w", controlName, err)
	}
	if t.seal = op.Held; t.seal || t.Removing {
		return reopen, nil
	}
	control.mode = controlMode
	return func() {
		if err := x.takePart(context.Background(), t.slot, control); err != nil && !beneath.IsAbsent(err) {
			t.result.Done, t.result.Err = false, errors.Join(t.result.Err, fmt.Errorf("%s: the user cannot control it: %w", op.Slot, err))
		}
	}, nil
}

// staysDown reports whether there is nothing to stop.
func staysDown(slot beneath.Dir) bool {
	exists, err := slot.Exists(scandir.DownName)
	status, ok := supervise.ReadStatus(slot)
	return ok && err == nil && progress.Progress{Before: status}.IsThere(exists)
}

// newControl replaces the control FIFO by one that only root can open. A supervisor that
// runs goes on with the old one.
func (x *execution) newControl(slot beneath.Dir) error {
	staging := scandir.StagingName()
	err := unix.Mknodat(int(x.scan.Dir), staging, unix.S_IFIFO|sealedMode, 0)
	if err == nil {
		err = unix.Renameat(int(x.scan.Dir), staging, int(slot), controlName)
	}
	if err != nil {
		return fmt.Errorf("replace the FIFO %s: %w", controlName, err)
	}
	return nil
}

// grown is the age from which s6-svscan surely starts a supervisor again that was killed.
// From s6 2.12 on it starts none twice in a second, and it forgets the one that waits for
// that when another one is to be started (seen with 2.15).
const grown = 1200 * time.Millisecond

// overrule ends the supervisor of a slot, so that no control command counts which another
// user has written or still writes: a supervisor reads them as long as any come, and then
// handles neither a signal nor the death of its gateway (seen with s6 2.11). The supervisor
// is stopped first, since it must start no gateway that nobody knows. s6-svscan starts
// another one after a second, which finds the down file, the new FIFO and a new lock file.
func (x *execution) overrule(ctx context.Context, t *transition) error {
	x.Log.Warn("another user could start or starts a gateway that is to be down; its supervisor is started anew", "slot", t.result.Operation.Slot)
	t.overruled = true
	if err := x.newControl(t.slot); err != nil {
		return err
	}
	held, pid, err := supervise.Service.Runs(t.slot)
	if err != nil || !held {
		return err
	}
	if pid <= 1 {
		return errors.New("its supervisor has no pid here")
	}
	supervisor := supervise.TaskOf(pid)
	poll(ctx, grown, func() bool { return supervisor.Age() > grown })
	if err := supervisor.Signal(unix.SIGSTOP); err != nil {
		return err
	}
	poll(ctx, time.Second, supervisor.Stopped)
	t.orphans = supervise.ChildrenOf(pid)
	if err := supervisor.Signal(unix.SIGKILL); err != nil {
		return err
	}
	poll(ctx, time.Second, func() bool { return !supervisor.Lives() })
	if err := x.renewLock(t.slot, supervise.Service); err != nil {
		return err
	}
	// The old supervisor may have been told to remove it.
	if err := t.slot.Create(scandir.DownFile); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return t.signalOrphans(unix.SIGTERM, unix.SIGCONT)
}

func (t *transition) signalOrphans(signals ...unix.Signal) error {
	var errs []error
	for _, task := range t.orphans {
		errs = append(errs, task.Signal(signals...))
	}
	return errors.Join(errs...)
}

// overruledIsOver reports whether the gateway of an overruled supervisor is gone, and the
// next supervisor keeps it down. A slot that is removed needs no next supervisor.
func (x *execution) overruledIsOver(t *transition) bool {
	if slices.ContainsFunc(t.orphans, supervise.Task.Lives) {
		return false
	}
	if t.Removing {
		return true
	}
	held, _, err := supervise.Service.Runs(t.slot)
	if err != nil || !held {
		return err == nil && !x.scan.Scanner().Running
	}
	s, known := supervise.ReadStatus(t.slot)
	return known && s.Down() && !s.WantUp
}
