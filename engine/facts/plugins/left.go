package plugins

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy/trust"
)

// maxProcesses bounds how many processes the user of the plug-ins may have while they run, so
// that those of a program which multiplies can be found and killed. The kernel counts the
// processes of that user in other containers too.
const maxProcesses = 4096

// adopt prepares this process for plug-ins. It inherits what they leave, closes to them the
// descriptors that it inherited itself, and limits their processes: the kernel does not count
// those of root. The result ends all of that but for the descriptors.
func adopt() (end func()) {
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range fds {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	var before unix.Rlimit
	known := unix.Getrlimit(unix.RLIMIT_NPROC, &before) == nil
	if known {
		_ = unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: min(before.Cur, maxProcesses), Max: before.Max})
	}
	return func() {
		if known {
			_ = unix.Setrlimit(unix.RLIMIT_NPROC, &before)
		}
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	}
}

// killLeft kills the processes that plug-ins left in sessions of their own, where the signal
// to their process group did not reach them. It stops all of them before it kills one, because
// a process that is stopped starts no other.
func killLeft(user trust.User, end func()) {
	defer end()
	stopped := map[int]bool{}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		before := len(stopped)
		for _, pid := range left(user) {
			_ = unix.Kill(pid, unix.SIGSTOP)
			stopped[pid] = true
		}
		if len(stopped) == before {
			break
		}
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && len(stopped) > 0; {
		pids := left(user)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}

// patience bounds either half of killLeft.
const patience = time.Second

// left returns the processes below this process that a user runs in another session. The
// other children of this process are in its session. Nothing that a plug-in starts gets away
// from below this process, which inherits it.
func left(user trust.User) []int {
	const proc = read.Proc("/proc")
	pids, _ := proc.Processes()
	children := map[int][]int{}
	for _, pid := range pids {
		if p, err := proc.Process(pid); err == nil && pid > 1 {
			children[p.Parent] = append(children[p.Parent], pid)
		}
	}
	ours, _ := unix.Getsid(0)
	var found []int
	for below := children[os.Getpid()]; len(below) > 0; below = below[1:] {
		pid := below[0]
		below = append(below, children[pid]...)
		session, err := unix.Getsid(pid)
		uids, uidErr := proc.UIDs(pid)
		if err == nil && uidErr == nil && session != ours && uids[0] == strconv.Itoa(user.UID) {
			found = append(found, pid)
		}
	}
	return found
}
