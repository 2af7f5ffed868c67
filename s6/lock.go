package s6

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"

	"hermes-reconcile/s6/beneath"
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
	path := filepath.Join(e.ScanDir, lockName)
	// Read only, and made only when it is missing: a run without changes writes nothing.
	flags := os.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		flags |= os.O_CREATE
	}
	lock := flock.New(path, flock.SetFlag(flags), flock.SetPermissions(0o600))
	waiting, cancel := context.WithTimeout(ctx, e.LockTimeout)
	defer cancel()
	locked, err := lock.TryLockContext(waiting, 20*time.Millisecond)
	switch {
	case locked:
		return func() { _ = lock.Close() }, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("another hermes-reconcile (pid %s) holds %s after %v", lockPID(path), path, e.LockTimeout)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("lock the scan directory: %w; its owner can change slots, this user cannot", err)
	}
	return nil, fmt.Errorf("lock the scan directory: %w", err)
}

// lockPID finds the process that holds the lock, for the error message only. A
// process of another PID namespace has no pid here.
func lockPID(path string) string {
	var st unix.Stat_t
	data, err := os.ReadFile("/proc/locks")
	if err != nil || unix.Stat(path, &st) != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(data)) {
		// 1: FLOCK  ADVISORY  WRITE 4711 00:1f:1234 0 EOF
		field := strings.Fields(line)
		if len(field) > 5 && field[1] == "FLOCK" && strings.HasSuffix(field[5], ":"+strconv.FormatUint(st.Ino, 10)) {
			return field[4]
		}
	}
	return "unknown"
}

// giveScanDir gives the user what Upstream ownership promises: the scan directory
// itself, the lock file and the control FIFO, nothing below them.
func (x *execution) giveScanDir() {
	if !x.Root || x.Ownership != Upstream {
		return
	}
	err := errors.Join(
		unix.Fchown(int(x.scan.Dir), x.User.UID, x.User.GID),
		x.give(part{name: lockName, kind: unix.S_IFREG, mode: 0o600}, unix.O_RDONLY, x.User.UID),
		x.give(part{name: supervise.SvscanControl, kind: unix.S_IFIFO, mode: controlMode}, unix.O_WRONLY, -1),
	)
	if err != nil {
		x.Log.Warn("a part of the scan directory stays with root", "err", err)
	}
}

// slotDepth is how many directories a slot has one below the other.
const slotDepth = 3

// handOver gives the user what has the name, and what is below it, under Upstream ownership:
// upstream's commands remove slots and write into them as the user. It follows no link. It
// leaves alone a file with a second name, and the files of the supervisors, which root may
// take back one day. level is the depth of the name in its slot.
func (x *execution) handOver(parent beneath.Dir, name string, level int) error {
	if !x.Root || x.Ownership != Upstream {
		return nil
	}
	st, err := parent.Lstat(name)
	switch kind := st.Mode & unix.S_IFMT; {
	case beneath.IsAbsent(err), kind != unix.S_IFDIR && st.Nlink > 1:
		return nil
	case err == nil && kind == unix.S_IFDIR && level < slotDepth:
		err = x.handOverBelow(parent, name, level+1)
	}
	if err == nil {
		err = unix.Fchownat(int(parent), name, x.User.UID, x.User.GID, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil && !beneath.IsAbsent(err) {
		return fmt.Errorf("give %s to the user: %w", name, err)
	}
	return nil
}

func (x *execution) handOverBelow(parent beneath.Dir, name string, level int) error {
	dir, err := parent.OpenDir(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	list, err := dir.Open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	names, err := beneath.Names(list, 1024)
	for _, below := range names {
		if name != "supervise" || below == "control" {
			err = errors.Join(err, x.handOver(dir, below, level))
		}
	}
	return err
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
