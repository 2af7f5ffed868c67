// Package supervise knows the protocol of s6-supervise and s6-svscan: their locks, their
// control FIFOs, the files that they write, and how many services they hold. It looks
// and asks; it changes no file. It knows neither slots nor profiles.
//
// What it relies on was seen with s6 2.11 to 2.15:
//
//   - s6-supervise and s6-svscan hold POSIX record locks (not flock) for as long as they
//     live. Looking at a lock (F_GETLK) is safe; taking the lock to test it would keep a
//     supervisor from starting.
//   - A control command, one byte in a control FIFO, is a request. The lock and the
//     status file show its effect.
package supervise

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy/beneath"
)

// A Process is a process of s6 with a lock file and a control FIFO.
type Process struct{ Lock, Control string }

// The processes of a service directory, and s6-svscan of a scan directory.
var (
	Service = Process{"supervise/lock", "supervise/control"}
	Logger  = Process{"log/supervise/lock", "log/supervise/control"}
	Svscan  = Process{".s6-svscan/lock", ".s6-svscan/control"}
)

// OfSlot are the processes of a service directory.
var OfSlot = []Process{Service, Logger}

// ErrNobody means that no process reads a control FIFO.
var ErrNobody = errors.New("nobody listens")

// ErrFull means that a control FIFO takes no more commands.
var ErrFull = errors.New("is full: its reader is stopped, or another user writes to it")

// Runs reports whether the process runs, and the pid of the process that has a lock on
// its lock file; 0 is none, or one of another pid namespace. A pid without runs is that of
// another process, which keeps this one from starting; -1 is one that the kernel does not
// tell. When this user may not open the lock file, as in a sealed slot, Runs looks whether
// anything reads the control FIFO, and the pid is 0. The error is that of the lock when this user may open neither.
func (p Process) Runs(dir beneath.Dir) (runs bool, pid int, err error) {
	runs, pid, err = p.holder(dir)
	if !beneath.IsForbidden(err) {
		return runs, pid, err
	}
	fd, openErr := dir.Open(p.Control, unix.O_WRONLY)
	switch {
	case openErr == nil:
		_ = unix.Close(fd)
		return true, 0, nil
	case openErr == unix.ENXIO, beneath.IsAbsent(openErr):
		return false, 0, nil
	}
	return false, 0, err
}

// holder looks at the lock; that of a missing file is free. s6 has a lock for writing. A
// lock for reading is another's.
func (p Process) holder(dir beneath.Dir) (held bool, pid int, err error) {
	fd, _, err := dir.OpenRegular(p.Lock, unix.O_RDONLY, 0)
	if beneath.IsAbsent(err) {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, fmt.Errorf("open %s: %w", p.Lock, err)
	}
	defer unix.Close(fd)
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(uintptr(fd), unix.F_GETLK, &lock); err != nil {
		return false, 0, fmt.Errorf("look at the lock %s: %w", p.Lock, err)
	}
	switch lock.Type {
	case unix.F_UNLCK:
		return false, 0, nil
	case unix.F_WRLCK:
		return true, int(lock.Pid), nil
	}
	if lock.Pid <= 0 { // of an open file, not of a process
		return false, -1, nil
	}
	return false, int(lock.Pid), nil
}

// Held reports which supervisors of a service directory live. Either keeps the directory
// from being replaced or removed.
func Held(dir beneath.Dir) (service, logger bool, err error) {
	if service, _, err = Service.Runs(dir); err != nil {
		return false, false, err
	}
	logger, _, err = Logger.Runs(dir)
	return service, logger, err
}

// Ask writes control commands, one byte each. Success means that they are queued. The
// error is ErrNobody when no process reads the FIFO or nothing has its name.
func (p Process) Ask(dir beneath.Dir, commands string) error {
	fd, err := dir.Open(p.Control, unix.O_WRONLY)
	switch {
	case err == unix.ENXIO, beneath.IsAbsent(err):
		return ErrNobody
	case err != nil:
		return fmt.Errorf("open %s: %w", p.Control, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", p.Control, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return fmt.Errorf("%s is not a FIFO", p.Control)
	}
	_, err = unix.Write(fd, []byte(commands))
	if err == unix.EAGAIN {
		return fmt.Errorf("%s %w", p.Control, ErrFull)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", p.Control, err)
	}
	return nil
}

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
