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
	// Read only, so that a run without changes writes nothing.
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
		return nil, fmt.Errorf("another hermes-reconcile (pid %s) holds %s after %v", lockPID(e.Proc, path), path, e.LockTimeout)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("lock the scan directory: %w; its owner can change slots, this user cannot", err)
	}
	return nil, fmt.Errorf("lock the scan directory: %w", err)
}

// lockPID finds the process that holds the lock, for the error message only. A
// process of another PID namespace has no pid here.
func lockPID(proc, path string) string {
	var st unix.Stat_t
	data, err := os.ReadFile(filepath.Join(proc, "locks"))
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
	if err := unix.Fchown(x.scan.fd, x.User.UID, x.User.GID); err != nil {
		x.Log.Warn("the scan directory stays with root", "err", err)
	}
	x.giveLock()
	fd, err := openBeneath(x.scan.fd, svscanControl, unix.O_WRONLY)
	if err != nil {
		return // no s6-svscan reads it
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return
	}
	if err := errors.Join(unix.Fchown(fd, -1, x.User.GID), unix.Fchmod(fd, controlMode)); err != nil {
		x.Log.Warn("the control FIFO of s6-svscan stays with root", "err", err)
	}
}

// giveLock lets a user who may make slots take the lock.
func (x *execution) giveLock() {
	var st unix.Stat_t
	err := unix.Fstatat(x.scan.fd, lockName, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 {
		return
	}
	if err := unix.Fchownat(x.scan.fd, lockName, x.User.UID, x.User.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		x.Log.Warn("the lock of the scan directory stays with root", "err", err)
	}
}
