package s6

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
)

// publish makes a slot: complete under a staging name, then visible by one rename. A
// slot of ours that nothing supervises is exchanged for the new one and removed.
func (x *execution) publish(op policy.Operation) error {
	files, err := filesOf(x.render, op)
	if err != nil {
		return err
	}
	if pause, ok := scripts.Pause(op.DelaySeconds); ok {
		files = slices.Insert(files, 0, pause)
	}
	if op.Down != nil && *op.Down {
		files = slices.Insert(files, 0, scandir.DownFile)
	}
	staging := scandir.StagingName()
	if err := x.build(staging, files, op); err != nil {
		if !x.Root && errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("this user cannot make one: %w", err)
		}
		return errors.Join(err, x.scan.RemoveAll(staging))
	}
	if err := x.makeVisible(staging, op.Slot); err != nil {
		return errors.Join(err, x.scan.RemoveTree(staging))
	}
	return nil
}

// build makes a complete service directory, or fails. A full file system accepts
// directories and writes nothing into files.
func (x *execution) build(staging string, files []beneath.File, op policy.Operation) error {
	if err := x.scan.Mkdir(staging, 0o755); err != nil {
		return err
	}
	slot, err := x.scan.OpenDir(staging)
	if err != nil {
		return fmt.Errorf("open %s: %w", staging, err)
	}
	defer slot.Close()
	for _, p := range x.slotParts(op.Slot, op.Held)[1:] {
		if err := x.make(slot, p); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := slot.Create(f); err != nil {
			return err
		}
	}
	return x.handOver(slot, op.Slot)
}

// filesOf renders the files of the slot of an operation.
func filesOf(r *scripts.Renderer, op policy.Operation) ([]beneath.File, error) {
	if op.Slot == policy.WatchSlot {
		return r.WatchFiles()
	}
	return r.Files(op.Profile, op.Env, op.Restart)
}

// makeVisible renames a built slot to its name. An unsupervised slot of ours with that
// name is exchanged for it and removed.
func (x *execution) makeVisible(staging, slot string) error {
	err := x.scan.Rename(staging, slot)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("rename into place: %w", err)
	}
	old, err := scandir.OpenOwned(x.scan.Dir, slot)
	if err != nil {
		return err
	}
	defer old.Close()
	if err := scandir.MustBeFree(old); err != nil {
		return err
	}
	if err := x.scan.Exchange(staging, slot); err != nil {
		return fmt.Errorf("exchange with the old slot: %w", err)
	}
	if err := scandir.MustBeFree(old); err != nil {
		// s6-svscan was faster. Its supervisor works in the old directory, so the
		// old directory gets its name back.
		return errors.Join(err, x.scan.Exchange(staging, slot))
	}
	return x.scan.RemoveTree(staging)
}
