package supervise

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy/beneath"
)

// A Scanner is what is known about the s6-svscan of a scan directory.
type Scanner struct {
	Known   bool // false: this user may not look
	Running bool
	PID     int // 0 when unknown
}

// FindScanner looks for the s6-svscan of a scan directory. When this user may look
// neither at the lock nor at the control FIFO, s6-svscan as process 1 counts as running.
func FindScanner(scan beneath.Dir) Scanner {
	runs, pid, err := Svscan.Runs(scan)
	first := pid == 0 && IsFirst()
	if first && (runs || err != nil) {
		pid = 1
	}
	return Scanner{Known: err == nil, Running: runs || err != nil && first, PID: pid}
}

// IsFirst reports whether process 1 is an s6-svscan, as in s6-overlay.
func IsFirst() bool { return readProc("/proc", 1, "comm") == "s6-svscan\n" }

// readProc reads a file of a process, "" when this user may not.
func readProc(proc string, pid int, name string) string {
	data, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), name))
	if err != nil {
		return ""
	}
	return string(data)
}

// UID is the uid that a process runs as, -1 when it is gone.
func UID(pid int) int {
	var st unix.Stat_t
	if unix.Stat(filepath.Join("/proc", strconv.Itoa(pid)), &st) != nil {
		return -1
	}
	return int(st.Uid)
}

// Alive reports whether a process runs, and when it started, in clock ticks since the
// kernel booted; 0 is unknown. A supervisor on a full file system leaves the pid of a
// dead process in its status, and a stopped supervisor does not reap its service.
func Alive(pid int) (alive bool, started int64) {
	stat := readProc("/proc", pid, "stat")
	if stat == "" { // it is gone, or this user may not look
		return !errors.Is(unix.Kill(pid, 0), unix.ESRCH), 0
	}
	t, ok := decodeTask(pid, stat)
	return ok, t.Started
}
