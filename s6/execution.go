package s6

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

// An execution is one run of Execute: it holds the lock between reconcilers.
type execution struct {
	*Executor
	scan   *scanDir
	render *renderer
	lock   *flock.Flock
	umask  uint32

	staging string       // start of our names in this run
	count   atomic.Int64 // of names given
}

func (e *Executor) begin(ctx context.Context) (*execution, error) {
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
	if err := x.takeLock(ctx); err != nil {
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
	_ = x.lock.Close()
	x.scan.close()
}

// stagingName returns a name in the scan directory that nothing else has.
func (x *execution) stagingName() string {
	return x.staging + strconv.FormatInt(x.count.Add(1), 10)
}

// takeLock waits for other reconcilers. The lock ends with the process; the file
// stays, with the pid of its last holder.
func (x *execution) takeLock(ctx context.Context) error {
	path := filepath.Join(x.ScanDir, lockName)
	x.lock = flock.New(path,
		flock.SetFlag(os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK), flock.SetPermissions(0o600))
	waiting, cancel := context.WithTimeout(ctx, x.LockTimeout)
	defer cancel()
	locked, err := x.lock.TryLockContext(waiting, 20*time.Millisecond)
	switch {
	case locked:
		x.signLock()
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("another hermes-reconcile (pid %s) holds %s after %v", x.lockPID(), path, x.LockTimeout)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("lock the scan directory: %w; its owner can change slots, this user cannot", err)
	}
	return fmt.Errorf("lock the scan directory: %w", err)
}

// signLock writes our pid into the lock file, for the error message of the next
// one only: nothing depends on it.
func (x *execution) signLock() {
	fd, err := openBeneath(x.scan.fd, lockName, unix.O_WRONLY|unix.O_TRUNC)
	if err != nil {
		return
	}
	_ = writeAll(fd, []byte(strconv.Itoa(os.Getpid())+"\n"))
	_ = unix.Close(fd)
}

func (x *execution) lockPID() string {
	data, err := readRegular(x.scan.fd, lockName)
	if err != nil || len(data) == 0 {
		return "unknown"
	}
	return strings.TrimSpace(string(data))
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
