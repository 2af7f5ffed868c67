package facts

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// clockTicks is the unit of times in /proc: the kernel's USER_HZ, which is 100
// on every architecture that has containers.
const clockTicks = 100

// maxProcesses bounds how many processes are looked at.
const maxProcesses = 65536

// A process is what /proc tells of one.
type process struct {
	pid, parent int
	started     uint64 // clock ticks since the system booted
}

// processes returns the ids of all processes that can be seen.
func (c Config) processes() ([]int, error) {
	dir, err := os.Open(c.Proc)
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

func (c Config) procFile(pid int, name string) ([]byte, error) {
	data, out := readPath(filepath.Join(c.Proc, strconv.Itoa(pid), name), maxState)
	if out.Status != "" {
		return nil, errors.New(out.Status)
	}
	return data, nil
}

// process reads the parent and the start of a process. The command's name in
// parentheses may hold anything, a parenthesis too, so that only what follows
// the last one counts.
func (c Config) process(pid int) (process, error) {
	data, err := c.procFile(pid, "stat")
	if err != nil {
		return process{}, err
	}
	after := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(after) < 20 {
		return process{}, errors.New("/proc/<pid>/stat is shorter than expected")
	}
	parent, errParent := strconv.Atoi(string(after[1]))
	started, errStart := strconv.ParseUint(string(after[19]), 10, 64)
	return process{pid, parent, started}, errors.Join(errParent, errStart)
}

// uids returns the real, effective, saved and file system user of a process.
func (c Config) uids(pid int) ([]string, error) {
	data, err := c.procFile(pid, "status")
	if err != nil {
		return nil, err
	}
	uids := strings.Fields(statusField(data, "Uid"))
	if len(uids) != 4 {
		return nil, errors.New("/proc/<pid>/status has no four user ids")
	}
	return uids, nil
}

// statusField returns a value of /proc/<pid>/status.
func statusField(data []byte, name string) string {
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && key == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// argv returns the arguments of a process; none for a kernel thread or one that
// is gone.
func (c Config) argv(pid int) ([]string, error) {
	data, err := c.procFile(pid, "cmdline")
	if err != nil || len(data) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00"), nil
}

// bootTime is when the system booted, in seconds since 1970.
func (c Config) bootTime() (int64, bool) {
	data, out := readPath(filepath.Join(c.Proc, "stat"), maxConfig)
	if out.Status != "" {
		return 0, false
	}
	for line := range strings.Lines(string(data)) {
		if after, ok := strings.CutPrefix(line, "btime "); ok {
			t, err := strconv.ParseInt(strings.TrimSpace(after), 10, 64)
			return t, err == nil
		}
	}
	return 0, false
}
