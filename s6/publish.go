package s6

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/beneath"
)

// publish makes a slot: complete under a staging name, then visible by one rename. A
// slot of ours that nothing supervises is exchanged for the new one and removed.
func (x *execution) publish(op policy.Operation) error {
	files, err := x.render.files(op.Profile, op.Env, op.Restart)
	if err != nil {
		return err
	}
	if pause, ok := pauseFile(op.DelaySeconds); ok {
		files = slices.Insert(files, 0, pause)
	}
	if op.Down != nil && *op.Down {
		files = slices.Insert(files, 0, downFile)
	}
	staging := stagingName()
	if err := x.build(staging, files, op.Held && x.guards()); err != nil {
		if !x.Root && errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("this user cannot make one: %w", err)
		}
		return errors.Join(err, x.scan.removeAll(staging))
	}
	if err := x.makeVisible(staging, op.Slot); err != nil {
		return errors.Join(err, x.scan.removeTree(staging))
	}
	return nil
}

// build makes a complete service directory, or fails. A full file system accepts
// directories and writes nothing into files.
func (x *execution) build(staging string, files []beneath.File, seal bool) error {
	if err := x.scan.Mkdir(staging, 0o755); err != nil {
		return err
	}
	slot, err := x.scan.OpenDir(staging)
	if err != nil {
		return fmt.Errorf("open %s: %w", staging, err)
	}
	defer slot.Close()
	for _, name := range []string{"log", "data"} {
		if err := slot.Mkdir(name, 0o755); err != nil {
			return err
		}
	}
	for _, prefix := range []string{"", "log/"} {
		if err := x.makeSkeleton(slot, prefix); err != nil {
			return err
		}
	}
	if seal {
		if err := x.newControl(slot); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := slot.Create(f); err != nil {
			return err
		}
	}
	return nil
}

// The modes of what s6-supervise would otherwise make itself, for root only. With
// these modes the group can write control commands and wait for events, every user can
// look at lock and status, and only root can make a name below supervise.
const (
	superviseMode = 0o711
	controlMode   = 0o620
	eventMode     = 0o3730
)

// makeSkeleton makes event, supervise and the control FIFO before s6-supervise does,
// which leaves existing ones as they are.
func (x *execution) makeSkeleton(slot beneath.Dir, prefix string) error {
	if err := slot.Mkdir(prefix+"supervise", superviseMode); err != nil {
		return err
	}
	control, event := prefix+"supervise/control", prefix+"event"
	if err := unix.Mknodat(int(slot), control, unix.S_IFIFO|controlMode, 0); err != nil {
		return fmt.Errorf("make the FIFO %s: %w", control, err)
	}
	if err := unix.Mkdirat(int(slot), event, 0o700); err != nil {
		return fmt.Errorf("make the directory %s: %w", event, err)
	}
	if err := x.giveToGroup(slot, control, controlMode); err != nil {
		return err
	}
	return x.giveToGroup(slot, event, eventMode)
}

// giveToGroup sets the group, then the mode, since a new group clears some bits.
func (x *execution) giveToGroup(slot beneath.Dir, name string, mode uint32) error {
	if x.Root {
		if err := unix.Fchownat(int(slot), name, 0, x.User.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("give %s to group %d: %w", name, x.User.GID, err)
		}
	}
	if err := unix.Fchmodat(int(slot), name, mode, 0); err != nil {
		return fmt.Errorf("set the mode of %s: %w", name, err)
	}
	return nil
}

// makeVisible renames a built slot to its name. An unsupervised slot of ours with that
// name is exchanged for it and removed.
func (x *execution) makeVisible(staging, slot string) error {
	err := x.scan.rename(staging, slot)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("rename into place: %w", err)
	}
	old, err := openOwned(x.scan.Dir, slot)
	if err != nil {
		return err
	}
	defer old.Close()
	if err := mustBeFree(old); err != nil {
		return err
	}
	if err := x.scan.exchange(staging, slot); err != nil {
		return fmt.Errorf("exchange with the old slot: %w", err)
	}
	if err := mustBeFree(old); err != nil {
		// s6-svscan was faster. Its supervisor works in the old directory, so the
		// old directory gets its name back.
		return errors.Join(err, x.scan.exchange(staging, slot))
	}
	return x.scan.removeTree(staging)
}
