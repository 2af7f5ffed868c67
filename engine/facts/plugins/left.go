package plugins

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/engine/facts/read"
)

// adopt makes this process inherit what plug-ins leave, and closes to them the descriptors
// that this process itself inherited. The result ends the inheriting.
func adopt() (end func()) {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range fds {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	return func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }
}

// killLeft kills the processes that plug-ins left in sessions of their own, where the signal
// to their process group did not reach them. A process that is killed leaves its children to
// this process, so killLeft looks until none is left, or for a while.
func killLeft(user User, end func()) {
	defer end()
	for deadline := time.Now().Add(grace / 2); time.Now().Before(deadline); {
		left := inherited(user)
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		for _, pid := range left {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}

// inherited returns the children of this process that a user runs in another session than
// this process. The other children of this process are in its session.
func inherited(user User) []int {
	const proc = read.Proc("/proc")
	pids, _ := proc.Processes()
	ours, _ := unix.Getsid(0)
	var left []int
	for _, pid := range pids {
		p, err := proc.Process(pid)
		if err != nil || p.Parent != os.Getpid() || pid <= 1 {
			continue
		}
		session, err := unix.Getsid(pid)
		uids, uidErr := proc.UIDs(pid)
		if err == nil && uidErr == nil && session != ours && uids[0] == strconv.Itoa(user.UID) {
			left = append(left, pid)
		}
	}
	return left
}
