// Package s6test runs a real s6-svscan for tests, and finds the processes that it
// starts. Only tests import it. It knows neither slots nor decisions.
package s6test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// UserID is the uid and gid of the unprivileged user of the tests.
const UserID = 10000

// HostileWords do harm in a shell script that does not quote them. Root runs the scripts
// of slots.
var HostileWords = []string{
	"$(touch pwned)", "`touch pwned`", "a;touch pwned", "a&touch pwned", "a|touch pwned", "a>pwned", "a'b", "'; touch pwned; '", `a\`, `\'; touch pwned; \'`,
	"a b", "*", "~root", "#x", "!x", "${IFS}touch${IFS}pwned", "%s%n", "é", "(touch pwned)", "{a,b}", "[a-z]*", "$0", "$$",
}

// patience bounds every wait; a busy machine needs a fraction of it.
const patience = 30 * time.Second

func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// WantRoot skips the test when it does not run as root.
func WantRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it becomes another user")
	}
}

// Installed returns the path of a program; without the program it skips the test.
func Installed(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed", program)
	}
	return path
}

// OpenToOthers lets other users search a temporary directory and its parents.
func OpenToOthers(t testing.TB, dir string) {
	t.Helper()
	for ; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm() == 0o700 {
			Must(t, os.Chmod(dir, 0o755))
		}
	}
}

// Poll waits until condition is true and reports whether it became true in time. It
// calls condition less and less often, since some conditions look at every process of
// the machine.
func Poll(condition func() bool) bool {
	pause := 3 * time.Millisecond
	for end := time.Now().Add(patience); !condition(); pause = min(pause*3/2, 50*time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
		time.Sleep(pause)
	}
	return true
}

// Until waits until condition is true, and ends the test when it stays false.
func Until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if !Poll(condition) {
		t.Fatalf("still not: %s", what)
	}
}

// Held reports whether a process holds a lock of s6, such as supervise/lock of a
// slot. It takes no lock.
func Held(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart}
	return unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock) == nil && lock.Type != unix.F_UNLCK
}

// A Process is a process that works below a directory.
type Process struct {
	PID     int
	Command string // its working directory and its arguments
}

// Processes finds the processes whose working directory or arguments are below base.
// The test itself is not among them.
func Processes(t testing.TB, base string) []Process {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	Must(t, err)
	var found []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid <= 1 || pid == os.Getpid() {
			continue
		}
		cwd, _ := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		command := strings.ReplaceAll(string(line), "\x00", " ")
		if strings.HasPrefix(cwd, base+"/") || strings.Contains(command, base+"/") {
			found = append(found, Process{pid, cwd + ": " + command})
		}
	}
	return found
}

// Signal sends a signal to a process that a file or a command has named. 0 and 1 would be
// the test's own process group and the machine.
func Signal(t testing.TB, pid int, signal unix.Signal) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("process %d is not to be signalled", pid)
	}
	Must(t, unix.Kill(pid, signal))
}

// Kill kills every process below base, for tests that leave processes on purpose.
func Kill(t testing.TB, base string) {
	t.Helper()
	Poll(func() bool {
		left := Processes(t, base)
		for _, p := range left {
			_ = unix.Kill(p.PID, unix.SIGKILL)
		}
		return len(left) == 0
	})
}

type Svscan struct {
	t       testing.TB
	base    string
	process *os.Process
	exited  chan struct{}
}

// Start runs s6-svscan on a scan directory and waits until its first scan is over. The
// test stops it at its end. Everything that it starts has to work below base.
func Start(t testing.TB, base, scan string, options ...string) *Svscan {
	t.Helper()
	return StartCommand(t, base, scan, exec.Command(Installed(t, "s6-svscan"), append(options, scan)...))
}

// StartCommand is Start with a command that runs s6-svscan.
func StartCommand(t testing.TB, base, scan string, cmd *exec.Cmd) *Svscan {
	t.Helper()
	s := Begin(t, base, scan, cmd)
	Until(t, "s6-svscan waits for commands", func() bool { return s.listens(scan) && s.sleeps() })
	return s
}

// listens reports whether s6-svscan has opened its control FIFO.
func (s *Svscan) listens(scan string) bool {
	fd, err := unix.Open(filepath.Join(scan, ".s6-svscan/control"), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	return unix.Close(fd) == nil
}

// sleeps reports whether the kernel has s6-svscan wait for something.
func (s *Svscan) sleeps() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.process.Pid))
	return err == nil && strings.Contains(string(stat), ") S ")
}

// Begin is StartCommand without the wait for the first scan: it waits for the lock alone.
func Begin(t testing.TB, base, scan string, cmd *exec.Cmd) *Svscan {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = t.Output()
	cmd.Stdout = cmd.Stderr
	Must(t, cmd.Start())
	s := &Svscan{t: t, base: base, process: cmd.Process, exited: make(chan struct{})}
	go func() {
		// Not cmd.Wait: its children may write for longer.
		_, _ = cmd.Process.Wait()
		close(s.exited)
	}()
	t.Cleanup(s.Stop)
	Until(t, "s6-svscan holds its lock", func() bool { return Held(filepath.Join(scan, ".s6-svscan/lock")) })
	return s
}

// Kill kills s6-svscan and waits until it is gone; its supervisors live on.
func (s *Svscan) Kill() {
	s.t.Helper()
	Must(s.t, s.process.Kill())
	<-s.exited
}

// Stop ends s6-svscan, waits until no process works below base, and reports those that
// stay.
func (s *Svscan) Stop() {
	s.t.Helper()
	if err := s.process.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Error(err)
	}
	if Poll(func() bool { return len(Processes(s.t, s.base)) == 0 }) {
		return
	}
	for _, p := range Processes(s.t, s.base) {
		s.t.Errorf("process %d is left: %s", p.PID, p.Command)
	}
	Kill(s.t, s.base)
}

// Shell returns a command that runs a shell script as another user.
func Shell(t testing.TB, id int, script string) *exec.Cmd {
	t.Helper()
	return As(id, exec.CommandContext(t.Context(), "/bin/sh", "-c", script))
}

// As makes a command run as another user, in the root directory. The user's gid is
// the same number, and it has no other group.
func As(id int, cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(id), Gid: uint32(id)}}
	return cmd
}
