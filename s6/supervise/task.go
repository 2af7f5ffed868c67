package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// SlotVariable is the environment variable by which every process of a gateway names its
// slot. A process may take it away or forge it: then it names itself.
const SlotVariable = "HERMES_S6_SLOT"

// A Task is a process. The start time tells it from a later process with the same pid.
type Task struct {
	PID     int
	Started int64 // in clock ticks since the kernel booted
	parent  int
	session int
	state   string
	slot    string // by SlotVariable
}

// Tasks are the processes of one user that live, by pid.
type Tasks struct {
	all   map[int]Task
	above map[int]bool // this process, and what it was started by
}

// TasksOf finds the processes of a user. It leaves out those of other mount namespaces,
// where the same path is another slot.
func TasksOf(uid int) Tasks {
	tasks := Tasks{all: map[int]Task{}, above: map[int]bool{}}
	for pid := os.Getpid(); pid > 1 && !tasks.above[pid]; {
		tasks.above[pid] = true
		above, ok := readTask(pid)
		if !ok {
			break
		}
		pid = above.parent
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return tasks
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	namespace, _ := os.Readlink("/proc/self/ns/mnt")
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid <= 1 || !runsAs(pid, uid) {
			continue
		}
		if itsNamespace, err := os.Readlink("/proc/" + name + "/ns/mnt"); err == nil && itsNamespace != namespace {
			continue
		}
		if t, ok := readTask(pid); ok {
			t.slot = slotOf(readProc("/proc", pid, "environ"))
			tasks.all[pid] = t
		}
	}
	return tasks
}

// runsAs reports whether a process has a user id, for good: real, effective and saved. The
// owner of its directory in /proc is root for a process that cannot be dumped.
func runsAs(pid, uid int) bool {
	ids := fmt.Sprintf("\nUid:\t%d\t%d\t%d\t", uid, uid, uid)
	return strings.Contains(readProc("/proc", pid, "status"), ids)
}

// readTask reads what the kernel says of a process; ok is false for one that is gone or
// waits to be reaped.
func readTask(pid int) (t Task, ok bool) { return decodeTask(pid, readProc("/proc", pid, "stat")) }

// decodeTask parses /proc/PID/stat. The state follows the name, which may hold any
// character, also a parenthesis.
func decodeTask(pid int, stat string) (t Task, ok bool) {
	field := strings.Fields(stat[max(0, strings.LastIndexByte(stat, ')')+1):])
	const parent, session, started = 4 - 3, 6 - 3, 22 - 3 // as proc(5) counts, from the state on
	if len(field) <= started || field[0] == "Z" || field[0] == "X" {
		return Task{}, false
	}
	t = Task{PID: pid, state: field[0]}
	t.parent, _ = strconv.Atoi(field[parent])
	t.session, _ = strconv.Atoi(field[session])
	t.Started, _ = strconv.ParseInt(field[started], 10, 64)
	return t, true
}

func slotOf(environ string) string {
	for variable := range strings.SplitSeq(environ, "\x00") {
		if slot, ok := strings.CutPrefix(variable, SlotVariable+"="); ok {
			return slot
		}
	}
	return ""
}

// Of returns the processes of a gateway, by pid: those that the gateway started, that are
// in its session, that name its slot, or that were among the known ones; and what those
// started. gateway is the gateway itself, or the zero Task. This process, what it was
// started by and what it started are not among them.
func (t Tasks) Of(gateway Task, slot string, known []Task) []Task {
	is := map[int]bool{}
	// When another process leads the session, the gateway is gone and its pid was used again.
	leader, leads := t.all[gateway.PID]
	sameSession := gateway.PID > 1 && (!leads || leader.Started == gateway.Started)
	for pid, task := range t.all {
		is[pid] = task.slot == slot || slices.ContainsFunc(known, func(k Task) bool { return k.PID == pid && k.Started == task.Started }) ||
			sameSession && (task.session == gateway.PID || pid == gateway.PID)
	}
	var found []Task
	for pid, task := range t.all {
		belongs, mine := false, t.above[pid]
		for at, steps := pid, 0; at > 1 && steps < 1<<10; at, steps = t.all[at].parent, steps+1 {
			belongs, mine = belongs || is[at], mine || at == os.Getpid()
		}
		if belongs && !mine {
			found = append(found, task)
		}
	}
	slices.SortFunc(found, func(a, b Task) int { return a.PID - b.PID })
	return found
}

// GatewayOf returns the gateway that a status names; the zero Task is none.
func GatewayOf(s Status) Task {
	if !s.Up() || s.PID <= 1 {
		return Task{}
	}
	return TaskOf(s.PID)
}

func TaskOf(pid int) Task {
	t, _ := readTask(pid)
	return t
}

// ChildrenOf finds the processes that a process has started, of any user.
func ChildrenOf(parent int) []Task {
	var children []Task
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if t, ok := readTask(pid); err == nil && pid > 1 && ok && t.parent == parent {
			children = append(children, t)
		}
	}
	return children
}

// Signal sends signals to the process, and to no later one with its pid.
func (t Task) Signal(signals ...unix.Signal) error {
	if t.PID <= 1 {
		return fmt.Errorf("process %d is not to be signalled", t.PID)
	}
	fd, err := unix.PidfdOpen(t.PID, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", t.PID, err)
	}
	defer unix.Close(fd)
	if now, ok := readTask(t.PID); !ok || now.Started != t.Started {
		return nil
	}
	for _, signal := range signals {
		if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil && err != unix.ESRCH {
			return fmt.Errorf("signal process %d: %w", t.PID, err)
		}
	}
	return nil
}

// Stopped reports whether a signal has stopped the process.
func (t Task) Stopped() bool {
	now, ok := readTask(t.PID)
	return ok && now.Started == t.Started && (now.state == "T" || now.state == "t")
}

// Age returns how long ago the process was started, to a hundredth of a second.
func (t Task) Age() time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano()) - time.Duration(t.Started)*tick
}

// tick is the unit of Task.Started: USER_HZ is 100 on every architecture that Go has.
const tick = time.Second / 100

func (t Task) Lives() bool {
	now, ok := readTask(t.PID)
	return ok && now.Started == t.Started
}

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
