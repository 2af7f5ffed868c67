package s6

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// publish makes a slot: complete under a staging name, then visible by one
// rename. A slot of ours that nothing supervises is exchanged for the new one
// and removed.
func (x *execution) publish(_ context.Context, op policy.Operation) (bool, error) {
	files, err := x.render.files(op.Profile, op.Env, op.Restart)
	if err != nil {
		return false, err
	}
	if pause, ok := pauseFile(op.DelaySeconds); ok {
		files = slices.Insert(files, 0, pause)
	}
	staging := x.stagingName()
	if err := x.build(staging, files, op.Down != nil && *op.Down); err != nil {
		return false, errors.Join(err, x.scan.root.RemoveAll(staging))
	}
	if err := x.makeVisible(staging, op.Slot); err != nil {
		return false, errors.Join(err, x.scan.removeTree(staging))
	}
	return true, nil
}

// build makes a complete service directory, or fails. A full file system accepts
// directories and writes nothing into files.
func (x *execution) build(staging string, files []file, down bool) error {
	if err := x.makeDirectory(x.scan.fd, staging, 0o755); err != nil {
		return err
	}
	fd, err := openDirectory(x.scan.fd, staging)
	if err != nil {
		return fmt.Errorf("open %s: %w", staging, err)
	}
	defer unix.Close(fd)
	for _, d := range []string{"log", "data"} {
		if err := x.makeDirectory(fd, d, 0o755); err != nil {
			return err
		}
	}
	for _, prefix := range []string{"", "log/"} {
		if err := x.makeSkeleton(fd, prefix); err != nil {
			return err
		}
	}
	if down {
		if err := x.makeFile(fd, file{Name: downName, Mode: 0o644}); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := x.makeFile(fd, f); err != nil {
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
func (x *execution) makeSkeleton(slotfd int, prefix string) error {
	if err := x.makeDirectory(slotfd, prefix+"supervise", superviseMode); err != nil {
		return err
	}
	control, event := prefix+"supervise/control", prefix+"event"
	if err := unix.Mknodat(slotfd, control, unix.S_IFIFO|controlMode, 0); err != nil {
		return fmt.Errorf("make the FIFO %s: %w", control, err)
	}
	if err := unix.Mkdirat(slotfd, event, 0o700); err != nil {
		return fmt.Errorf("make the directory %s: %w", event, err)
	}
	if err := x.giveToGroup(slotfd, control, controlMode); err != nil {
		return err
	}
	return x.giveToGroup(slotfd, event, eventMode)
}

// giveToGroup sets the group, then the mode, since a new group clears some bits.
func (x *execution) giveToGroup(slotfd int, name string, mode uint32) error {
	if x.Root {
		if err := unix.Fchownat(slotfd, name, 0, x.User.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("give %s to group %d: %w", name, x.User.GID, err)
		}
	}
	if err := unix.Fchmodat(slotfd, name, mode, 0); err != nil {
		return fmt.Errorf("set the mode of %s: %w", name, err)
	}
	return nil
}

// makeDirectory makes a directory with exactly this mode, whatever the umask.
func (x *execution) makeDirectory(dirfd int, name string, mode uint32) error {
	if err := unix.Mkdirat(dirfd, name, mode); err != nil {
		return fmt.Errorf("make the directory %s: %w", name, err)
	}
	if err := unix.Fchmodat(dirfd, name, mode, 0); err != nil {
		return fmt.Errorf("set the mode of %s: %w", name, err)
	}
	return nil
}

// makeFile makes a new file with exactly this mode, whatever the umask. On error a part
// of it may exist.
func (x *execution) makeFile(dirfd int, f file) error {
	fd, err := unix.Openat(dirfd, f.Name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, f.Mode)
	if err != nil {
		return fmt.Errorf("make %s: %w", f.Name, err)
	}
	err = writeAll(fd, f.Content)
	if err == nil {
		err = unix.Fchmod(fd, f.Mode)
	}
	if err := errors.Join(err, unix.Close(fd)); err != nil {
		return fmt.Errorf("write %s: %w", f.Name, err)
	}
	return nil
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// makeVisible renames a built slot to its name. An unsupervised slot of ours with that
// name is exchanged for it and removed.
func (x *execution) makeVisible(staging, slot string) error {
	err := unix.Renameat2(x.scan.fd, staging, x.scan.fd, slot, unix.RENAME_NOREPLACE)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("rename into place: %w", err)
	}
	old, err := openOwned(x.scan.fd, slot)
	if err != nil {
		return err
	}
	defer unix.Close(old)
	if err := mustBeFree(old); err != nil {
		return err
	}
	if err := unix.Renameat2(x.scan.fd, staging, x.scan.fd, slot, unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("exchange with the old slot: %w", err)
	}
	if err := mustBeFree(old); err != nil {
		// s6-svscan was faster. Its supervisor works in the old directory, so the
		// old directory gets its name back.
		return errors.Join(err, unix.Renameat2(x.scan.fd, staging, x.scan.fd, slot, unix.RENAME_EXCHANGE))
	}
	return x.scan.removeTree(staging)
}

// mustBeFree is an error when a supervisor holds a service directory.
func mustBeFree(slotfd int) error {
	held, err := supervisionOf(slotfd)
	if err == nil && held.Any() {
		err = errors.New("it is supervised by now; the next run changes its files one by one")
	}
	return err
}
