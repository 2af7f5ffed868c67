package read

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A Proc is the path of the proc file system, usually "/proc".
type Proc string

// clockTicks is the unit of times in /proc: the kernel's USER_HZ, which is 100 on every
// architecture that has containers.
const clockTicks = 100

const maxProcesses = 65536

// A Process is a process as /proc/<pid>/stat describes it.
type Process struct {
	PID, Parent int
	Started     uint64 // clock ticks since the kernel booted
}

// Processes returns the ids of all processes that can be seen.
func (p Proc) Processes() ([]int, error) {
	dir, err := os.Open(string(p))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxProcesses)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Read reads a file of a process: "self" or its id.
func (p Proc) Read(process, name string) ([]byte, error) {
	data, out := Path(filepath.Join(string(p), process, name), MaxConfig)
	if out.Status != "" {
		return nil, errors.New(out.Status)
	}
	return data, nil
}

// Process describes a process. The command's name in parentheses may contain a parenthesis,
// so only the fields after the last one count.
func (p Proc) Process(pid int) (Process, error) {
	data, err := p.Read(strconv.Itoa(pid), "stat")
	if err != nil {
		return Process{}, err
	}
	after := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(after) < 20 {
		return Process{}, errors.New("/proc/<pid>/stat is shorter than expected")
	}
	parent, errParent := strconv.Atoi(string(after[1]))
	started, errStart := strconv.ParseUint(string(after[19]), 10, 64)
	return Process{pid, parent, started}, errors.Join(errParent, errStart)
}

// Status returns a value of /proc/<process>/status, or "".
func (p Proc) Status(process, name string) string {
	data, _ := p.Read(process, "status")
	return Field(data, name+":")
}

// UIDs returns the real, effective, saved and file system user of a process.
func (p Proc) UIDs(pid int) ([]string, error) {
	uids := strings.Fields(p.Status(strconv.Itoa(pid), "Uid"))
	if len(uids) != 4 {
		return nil, errors.New("/proc/<pid>/status has no four user ids")
	}
	return uids, nil
}

// Argv returns the arguments of a process. A kernel thread and a process that has ended have
// none.
func (p Proc) Argv(pid int) ([]string, error) {
	data, err := p.Read(strconv.Itoa(pid), "cmdline")
	if err != nil || len(data) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00"), nil
}

// Kernel returns the first line of /proc/sys/kernel/<name>, or "".
func (p Proc) Kernel(name string) string {
	data, _ := p.Read("sys/kernel", name)
	return FirstLine(data, 255)
}

// ContainerStarted returns when PID 1 started, in seconds since 1970.
func (p Proc) ContainerStarted() (unix int64, ok bool) {
	first, err := p.Process(1)
	data, statErr := p.Read("", "stat")
	booted, timeErr := strconv.ParseInt(Field(data, "btime"), 10, 64)
	if errors.Join(err, statErr, timeErr) != nil {
		return 0, false
	}
	return booted + int64(first.Started/clockTicks), true
}

// Field returns the rest of the line that begins with the word key, or "".
func Field(text []byte, key string) string {
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, key)
		if value := strings.TrimLeft(rest, " \t"); ok && value != rest {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
