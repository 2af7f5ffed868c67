package s6

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/s6test"
	"hermes-reconcile/s6/supervise"
)

// After a scan by others, a boot leaves the locks closed, and the next pass opens those of the
// supervisors that run. One that nobody has is closed.
func TestLocksOfSupervisorsThatRun(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	w := newWorld(t)
	d := decide("coder=start")
	w.apply(d)
	svscan := w.startSvscan()
	w.untilUp("coder")
	w.wantPlan(d, "")
	wantMode(t, w.slot("coder", superviseLock), 0o600, 0, 0)

	w.options.Live = true
	w.carryOut(w.wantPlan(d, "update coder supervise/lock"))
	if got, want := w.last.Operations[0].Cause, "its supervisor runs, so every user may look at its lock"; got != want {
		t.Errorf("cause: %q, want %q", got, want)
	}
	wantMode(t, w.slot("coder", superviseLock), openLockMode, 0, 0)
	wantMode(t, w.slot("coder", "log/"+superviseLock), 0o600, 0, 0)
	w.wantPlan(d, "")
	w.options.Live = false
	w.wantPlan(d, "")

	svscan.Kill()
	s6test.Kill(t, w.base)
	w.carryOut(w.wantPlan(d, "publish coder"))
	wantMode(t, w.slot("coder", superviseLock), 0o600, 0, 0)
}

// The agent waits for the lock of every supervisor, so it has each as soon as a supervisor
// ends, and the agent can end supervisors. Whatever root does succeeds all the same.
func TestUserWaitsForTheLocks(t *testing.T) {
	t.Parallel()
	s6test.WantRoot(t)
	for how, command := range lockCommands {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newLive(t)
			both := decide("coder=start", "writer=start")
			w.apply(both)
			w.untilUp("coder")
			w.waitForLocks(how)

			w.takeLock("coder", command)
			w.apply(both)
			w.wantOneUp("coder")
			if got := w.alarmCodes(); got != "untrusted coder" {
				t.Errorf("alarms: %s", got)
			}
			w.plan(both)
			if got := w.alarmCodes(); got != "" {
				t.Errorf("alarms of the next plan: %s", got)
			}

			w.takeLock("coder", command)
			w.carryOut([]policy.Operation{{Op: policy.OpRescan}})
			w.wantOneUp("coder")

			w.apply(hold("coder=down", "writer=start")) // it ends the supervisor
			wantMode(t, w.slot("coder", superviseLock), 0o600, 0, 0)
			w.wantPlan(hold("coder=down", "writer=start"), "")
			w.apply(both)
			w.wantOneUp("coder")

			w.takeLock("coder", command)
			w.apply(hold("coder=down", "writer=start"))
			w.apply(hold("coder=down", "writer=start")) // the slot is sealed once it has a supervisor
			w.wantPlan(hold("coder=down", "writer=start"), "")
			wantMode(t, w.slot("coder", superviseLock), 0o600, 0, 0)
			if supervisors, _ := w.supervisors("coder"); supervisors != 1 {
				t.Errorf("%d supervisors of a held slot", supervisors)
			}
			w.apply(both)

			w.takeLock("coder", command)
			w.apply(decide("coder=down", "writer=start"))
			w.apply(decide("coder=start", "writer=start", "new=start"))
			w.wantOneUp("coder")
			w.wantOneUp("new")

			w.takeLock("coder", command)
			w.apply(decide("coder=skip", "writer=skip", "new=start"))
			if got := strings.Join(w.visible(), " "); got != "gateway-new" || len(w.staged()) > 0 {
				t.Errorf("left: %s, %v", got, w.staged())
			}
			w.wantPlan(decide("coder=skip", "writer=skip", "new=start"), "")
		})
	}
}

// wantOneUp waits for the gateway of a slot, whose only supervisor has the lock.
func (w *world) wantOneUp(profile string) {
	w.t.Helper()
	w.untilUp(profile)
	if supervisors, _ := w.supervisors(profile); supervisors != 1 {
		w.t.Errorf("%s has %d supervisors", profile, supervisors)
	}
	wantMode(w.t, w.slot(profile, superviseLock), openLockMode, 0, 0)
}

// takeLock has the agent end the supervisor of a slot, and waits until the agent has the lock.
func (w *world) takeLock(profile, command string) {
	w.t.Helper()
	w.until("the agent waits for the lock of "+profile, func() bool {
		locks, err := os.ReadFile("/proc/locks")
		return err == nil && waiter(w.t, w.slot(profile, superviseLock)).Match(locks)
	})
	if out, err := w.asHermes("s6-svc -" + command + " " + w.slot(profile)); err != nil {
		w.t.Fatalf("s6-svc -%s: %v: %s", command, err, out)
	}
	w.until("the agent has the lock of "+profile, func() bool {
		slot := w.open(profile)
		defer slot.Close()
		runs, pid, err := supervise.Service.Runs(slot)
		return err == nil && !runs && pid != 0
	})
}

// waiter matches the line in /proc/locks of a process that waits for a lock on a file.
func waiter(t *testing.T, path string) *regexp.Regexp {
	return regexp.MustCompile(fmt.Sprintf(`-> .*:%d `, inodeOf(t, path)))
}

// lockCommands end a supervisor, by the kind of lock that the agent waits for.
var lockCommands = map[string]string{"of a process": "dx", "of an open file": "xd"}

// waitForLocks has the agent wait for all locks of the slots until the test ends.
func (w *world) waitForLocks(how string) {
	w.t.Helper()
	cmd := s6test.As(hermesID, exec.CommandContext(w.t.Context(), w.testBinary()))
	cmd.Env = append(os.Environ(), "HERMES_TEST_LOCKS="+w.scan, "HERMES_TEST_LOCK_KIND="+how)
	must(w.t, cmd.Start())
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// waitForLocks waits for a lock on every lock file below a scan directory that it can open,
// and keeps those that it gets.
func waitForLocks(scan, how string) {
	command := unix.F_SETLKW
	if how == "of an open file" {
		command = unix.F_OFD_SETLKW
	}
	waits := map[uint64]*os.File{} // open for good: closing one gives up the locks of the process
	for range time.Tick(time.Millisecond) {
		slots, _ := filepath.Glob(filepath.Join(scan, "*"))
		for _, slot := range slots {
			for _, name := range []string{superviseLock, "log/" + superviseLock} {
				path := filepath.Join(slot, name)
				var st unix.Stat_t
				if unix.Stat(path, &st) != nil || waits[st.Ino] != nil {
					continue
				}
				if file, err := os.Open(path); err == nil {
					waits[st.Ino] = file
					go func() {
						_ = unix.FcntlFlock(file.Fd(), command, &unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart})
					}()
				}
			}
		}
	}
}
