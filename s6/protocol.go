package s6

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Names below a service directory and below a scan directory, as in the s6
// documentation.
const (
	superviseLock    = "supervise/lock"
	superviseStatus  = "supervise/status"
	superviseControl = "supervise/control"
	superviseDeaths  = "supervise/death_tally"
	logLock          = "log/supervise/lock"
	logControl       = "log/supervise/control"

	svscanLock    = ".s6-svscan/lock"
	svscanControl = ".s6-svscan/control"
)

// errNobody means that no process reads a control FIFO.
var errNobody = errors.New("nobody listens")

// lockHolder reports whether a process holds the lock of a supervisor or of
// s6-svscan, and its pid, which is 0 for a process of another pid namespace. No
// process holds the lock of a missing file.
func lockHolder(dirfd int, name string) (held bool, pid int, err error) {
	fd, _, _, err := openRegular(dirfd, name)
	if isAbsent(err) {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	defer unix.Close(fd)
	lock := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(uintptr(fd), unix.F_GETLK, &lock); err != nil {
		return false, 0, fmt.Errorf("look at the lock %s: %w", name, err)
	}
	return lock.Type != unix.F_UNLCK, int(lock.Pid), nil
}

// A supervision has the supervisors of a slot that live.
type supervision struct {
	Service bool
	Logger  bool
}

// Any reports whether the directory must not be replaced or removed.
func (s supervision) Any() bool { return s.Service || s.Logger }

// supervisionOf looks at both locks of a service directory.
func supervisionOf(slotfd int) (s supervision, err error) {
	if s.Service, _, err = lockHolder(slotfd, superviseLock); err != nil {
		return s, err
	}
	s.Logger, _, err = lockHolder(slotfd, logLock)
	return s, err
}

// statusOf reads the status file of a service directory; ok is false when it is
// missing or invalid.
func statusOf(slotfd int) (s status, ok bool) {
	data, err := readRegular(slotfd, superviseStatus)
	if err != nil {
		return status{}, false
	}
	return decodeStatus(data)
}

// writeControl writes control commands into a FIFO. Success means that they are queued.
// The error is errNobody when no process reads the FIFO or nothing has the name.
func writeControl(dirfd int, name, commands string) error {
	fd, err := openBeneath(dirfd, name, unix.O_WRONLY)
	switch {
	case errors.Is(err, unix.ENXIO), isAbsent(err):
		return errNobody
	case err != nil:
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return fmt.Errorf("%s is not a FIFO", name)
	}
	for {
		_, err := unix.Write(fd, []byte(commands))
		switch err {
		case unix.EINTR:
			continue
		case nil:
			return nil
		case unix.EAGAIN:
			return fmt.Errorf("%s is full: its reader is stopped", name)
		}
		return fmt.Errorf("write %s: %w", name, err)
	}
}

// A svscan is what is known about the s6-svscan of a scan directory.
type svscan struct {
	Known   bool // false: this user may not look
	Running bool
	PID     int // 0 when unknown
}

// findSvscan looks for the s6-svscan of a scan directory by its lock. When the lock may
// not be opened, it looks whether a process reads the control FIFO. When neither may be
// opened, s6-svscan as process 1 counts as running.
func findSvscan(scanfd int, proc string) svscan {
	held, pid, err := lockHolder(scanfd, svscanLock)
	if err == nil {
		return svscan{Known: true, Running: held, PID: pid}
	}
	first := 0
	if commandName(proc, "1") == "s6-svscan" {
		first = 1
	}
	fd, err := openBeneath(scanfd, svscanControl, unix.O_WRONLY)
	switch {
	case err == nil:
		_ = unix.Close(fd)
		return svscan{Known: true, Running: true, PID: first}
	case errors.Is(err, unix.ENXIO), isAbsent(err):
		return svscan{Known: true}
	}
	return svscan{Running: first == 1, PID: first}
}

// commandName is the kernel's name of a process, "" when it cannot be read.
func commandName(proc, pid string) string {
	data, err := os.ReadFile(filepath.Join(proc, pid, "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}
