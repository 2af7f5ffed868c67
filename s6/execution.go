package s6

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// An execution is one run of Execute: it holds the lock between reconcilers.
type execution struct {
	*Executor
	scan   *scanDir
	render *renderer
	unlock func()
	umask  uint32

	staging string       // start of our names in this run
	count   atomic.Int64 // of names given
}

func (e *Executor) begin(ctx context.Context, operations []policy.Operation) (*execution, error) {
	x := &execution{Executor: e.withDefaults(), umask: 0o777}
	var err error
	if x.render, err = newRenderer(x.Executor); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(e.ScanDir, 0o755); err != nil {
		return nil, fmt.Errorf("scan directory: %w", err)
	}
	if x.scan, err = openScanDir(e.ScanDir); err != nil {
		return nil, fmt.Errorf("scan directory: %w", err)
	}
	if !e.held {
		x.unlock, err = x.takeLock(ctx)
	}
	if err != nil && !(errors.Is(err, fs.ErrPermission) && x.Live && onlyControl(operations)) {
		x.scan.close()
		return nil, err
	}
	if mask, ok := processUmask(x.Proc); ok {
		x.umask = mask
	}
	x.staging = stagingPrefix + strings.ToLower(rand.Text()[:10]) + "-"
	x.giveScanDir()
	return x, nil
}

func (x *execution) end() {
	if x.unlock != nil {
		x.unlock()
	}
	x.scan.close()
}

// onlyControl says that letters to supervisors are enough for these operations. A
// user who owns no slot cannot take the lock either, and needs none for that.
func onlyControl(operations []policy.Operation) bool {
	return !slices.ContainsFunc(operations, func(op policy.Operation) bool {
		switch op.Op {
		case policy.OpBringUp, policy.OpBringDown, policy.OpMarkDown, policy.OpClearDown:
			return false
		}
		return true
	})
}

// stagingName returns a name in the scan directory that nothing else has.
func (x *execution) stagingName() string {
	return x.staging + strconv.FormatInt(x.count.Add(1), 10)
}

// Lock keeps other reconcilers out until the returned function is called, so that
// what was looked at is still so when it is acted on. It makes the scan directory
// where there is none. The error of a user who owns no slot wraps fs.ErrPermission.
func (e *Executor) Lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(e.ScanDir, 0o755); err != nil {
		return nil, fmt.Errorf("scan directory: %w", err)
	}
	release, err := e.withDefaults().takeLock(ctx)
	if err != nil {
		return nil, err
	}
	e.held = true
	return func() { e.held = false; release() }, nil
}

// takeLock waits for other reconcilers. The lock ends with the process; the file
// stays.
func (e *Executor) takeLock(ctx context.Context) (unlock func(), err error) {
	path := filepath.Join(e.ScanDir, lockName)
	// Read only, so that a run which finds everything right writes nothing.
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
		return nil, fmt.Errorf("another hermes-reconcile (pid %s) holds %s after %v", e.lockPID(path), path, e.LockTimeout)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("lock the scan directory: %w; its owner can change slots, this user cannot", err)
	}
	return nil, fmt.Errorf("lock the scan directory: %w", err)
}

// lockPID finds who holds the lock, for the error message only: nothing depends on
// it. A process of another PID namespace has no pid here.
func (e *Executor) lockPID(path string) string {
	var st unix.Stat_t
	data, err := os.ReadFile(filepath.Join(e.Proc, "locks"))
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

// giveScanDir hands the scan directory to the user where that is wanted: the
// directory itself and the control FIFO, nothing below them.
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
		return // nobody reads it
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return
	}
	if err := errors.Join(unix.Fchown(fd, -1, x.User.GID), unix.Fchmod(fd, 0o620)); err != nil {
		x.Log.Warn("the control FIFO of s6-svscan stays with root", "err", err)
	}
}

// giveLock lets a user who may make slots take part in the lock.
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

// processUmask reads the umask of this process; asking the kernel by setting
// another one would change it for other threads.
func processUmask(proc string) (uint32, bool) {
	data, err := os.ReadFile(filepath.Join(proc, "self/status"))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "Umask:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(value), 8, 32)
			return uint32(mask), err == nil
		}
	}
	return 0, false
}

// tell writes letters to the supervisor of a slot, as ask does.
func (x *execution) tell(ctx context.Context, slotfd int, letters string) error {
	return x.ask(ctx, slotfd, superviseControl, letters, func() bool {
		held, _, err := lockHolder(slotfd, superviseLock)
		return err == nil && held
	})
}

// askSvscan writes letters to s6-svscan, as ask does.
func (x *execution) askSvscan(ctx context.Context, letters string) error {
	return x.ask(ctx, x.scan.fd, svscanControl, letters, func() bool { return findSvscan(x.scan.fd, x.Proc).Running })
}

// ask writes letters to the control FIFO of what runs. What has just been started holds
// its lock a moment before it listens (seen with strace), and is waited for. The error is
// errNobody when none runs.
func (x *execution) ask(ctx context.Context, dirfd int, control, letters string, runs func() bool) error {
	var err error
	answered := poll(ctx, x.Wait, func() bool {
		err = writeControl(dirfd, control, letters)
		return !errors.Is(err, errNobody) || !runs()
	})
	if !answered {
		return errors.Join(errors.New("it holds its lock and does not listen"), ctx.Err())
	}
	return err
}

// poll calls condition until it is true or the time is over, and reports which.
func poll(ctx context.Context, limit time.Duration, condition func() bool) bool {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-end.C:
			return condition()
		case <-ctx.Done():
			return false
		}
	}
	return true
}
