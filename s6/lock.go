package s6

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/policy/wait"
	"hermes-reconcile/s6/deaths"
	"hermes-reconcile/s6/scandir"
	"hermes-reconcile/s6/scripts"
	"hermes-reconcile/s6/supervise"
)

// Lock excludes other reconcilers until unlock is called, so that Execute finds
// what Plan has seen. It waits at most LockTimeout, and creates the scan directory
// when it is missing. The error of a user who may not change slots wraps
// fs.ErrPermission. The lock ends with the process; its file stays.
func (e *Executor) Lock(ctx context.Context) (unlock func(), err error) {
	e = e.withDefaults()
	if err := os.MkdirAll(e.ScanDir, 0o755); err != nil {
		return nil, fmt.Errorf("scan directory: %w", err)
	}
	path := filepath.Join(e.ScanDir, scandir.LockName)
	// Read only, and made only when it is missing: a run without changes writes nothing.
	flags := os.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		flags |= os.O_CREATE
	}
	lock := flock.New(path, flock.SetFlag(flags), flock.SetPermissions(0o600))
	waiting, cancel := context.WithTimeout(ctx, e.LockTimeout)
	defer cancel()
	defer wait.For(ctx, "another hermes-reconcile", e.LockTimeout)()
	locked, err := lock.TryLockContext(waiting, 20*time.Millisecond)
	switch {
	case locked:
		return func() { _ = lock.Close() }, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("another hermes-reconcile holds %s after %v", path, e.LockTimeout)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("lock the scan directory: %w; its owner can change slots, this user cannot", err)
	}
	return nil, fmt.Errorf("lock the scan directory: %w", err)
}

// gives reports whether slots and scan directory go to the user.
func (e *Executor) gives() bool { return e.Root && e.Upstream }

// giveScanDir gives the user what Upstream ownership promises: the scan directory
// itself, the lock file and the control FIFO, nothing below them.
func (x *execution) giveScanDir() {
	if !x.gives() {
		return
	}
	err := errors.Join(
		unix.Fchown(int(x.scan.Dir), x.User.UID, x.User.GID),
		x.give(part{name: scandir.LockName, kind: unix.S_IFREG, mode: 0o600}, unix.O_RDONLY, x.User.UID),
		x.give(part{name: supervise.Svscan.Control, kind: unix.S_IFIFO, mode: controlMode}, unix.O_WRONLY, -1),
	)
	if err != nil {
		x.Log.Warn("a part of the scan directory stays with root", "err", err)
	}
}

// handOverAll hands over the slots of the operations.
func (x *execution) handOverAll(results []policy.Result) {
	for i := range results {
		name := results[i].Operation.Slot
		if slot, err := scandir.OpenOwned(x.scan.Dir, name); err == nil {
			results[i].Err = errors.Join(results[i].Err, x.handOver(slot, name))
			slot.Close()
		}
	}
}

// handOver gives the user a slot under Upstream ownership: upstream's commands remove slots
// and write into them as the user. It follows no link, and leaves alone the files of the
// supervisors. What is in a directory comes before the directory. The slot of the service
// stays root's.
func (x *execution) handOver(slot beneath.Dir, name string) error {
	if !x.gives() || name == policy.WatchSlot {
		return nil
	}
	names := slices.Concat(scripts.FileNames, []string{scandir.DownName, scripts.ChangedName, scripts.PauseName, deaths.TallyName})
	for _, p := range x.slotParts(name, false) {
		if p.kind != unix.S_IFREG {
			names = append(names, p.name)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Backward(names) {
		fd, err := slot.Open(name, unix.O_PATH)
		if err == nil {
			err = errors.Join(unix.Fchownat(fd, "", x.User.UID, x.User.GID, unix.AT_EMPTY_PATH), unix.Close(fd))
		}
		if err != nil && !beneath.IsAbsent(err) {
			return fmt.Errorf("give %s to the user: %w", name, err)
		}
	}
	return nil
}

// give gives a part to the user's group, and to uid, -1 for its present owner. It leaves
// alone what it cannot open, such as a FIFO that no process reads, and a file with a second
// name, which may be another user's.
func (x *execution) give(p part, flags, uid int) error {
	file, _, err := openPart(x.scan.Dir, p, flags)
	if err != nil {
		return nil
	}
	defer file.Close()
	fd := int(file.Fd())
	if err := errors.Join(unix.Fchown(fd, uid, x.User.GID), unix.Fchmod(fd, p.mode)); err != nil {
		return fmt.Errorf("give %s to the user: %w", p.name, err)
	}
	return nil
}
