package s6

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

//go:embed schema.json
var schema string

// A Source finds out what is in a scan directory: who supervises it, its slots and
// their state, what interrupted runs left, and how many gateways fit. It takes no
// lock.
type Source struct {
	ScanDir string
	Proc    string // "/proc"
	Overlay string // "/run/s6/basedir", a directory under s6-overlay
}

// Name is the key of the fact in input.container.
func (s *Source) Name() string { return "s6" }

// Schema is the JSON Schema of what Collect returns.
func (s *Source) Schema() string { return schema }

// maxEntries bounds how many entries of a scan directory are read; s6-svscan itself
// holds a thousand services unless an option changes that.
const maxEntries = 1 << 16

// maxLeftovers bounds the list of leftovers.
const maxLeftovers = 256

// Collect returns a policy.Slots. Its error is that of ctx: something that cannot be
// read is part of the fact.
func (s *Source) Collect(ctx context.Context) (any, error) { return s.look(ctx) }

func (s *Source) look(ctx context.Context) (policy.Slots, error) {
	proc := orDefault(s.Proc, "/proc")
	f := policy.Slots{
		Status: policy.StatusRecorded, Manager: "none",
		ScanDir: policy.ScanDir{Path: s.ScanDir, Status: policy.StatusRecorded},
		Slots:   map[string]policy.Slot{}, Leftovers: []policy.Leftover{},
	}
	scan, err := openScanDir(s.ScanDir)
	if err != nil {
		f.ScanDir.Status, f.ScanDir.Error = absentOrUnreadable(err), err.Error()
		f.Status = f.ScanDir.Status
		f.Manager = s.manager(proc, svscan{})
		f.Capacity = detectCapacity(proc, svscan{}, 0, 0)
		return f, nil
	}
	defer scan.close()
	found := findSvscan(scan.fd, proc)
	if found.Known {
		f.Running = &found.Running
	}
	f.SvscanPID, f.Manager = found.PID, s.manager(proc, found)
	f.ScanDir.Writable = unix.Faccessat(scan.fd, ".", unix.W_OK, unix.AT_EACCESS) == nil
	entries, err := scan.dir.ReadDir(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		f.ScanDir.Status, f.ScanDir.Error = absentOrUnreadable(err), err.Error()
	}
	f.ScanDir.More = len(entries) == maxEntries
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	used, others := countPlaces(scan.fd, entries)
	f.Capacity = detectCapacity(proc, found, used, others)
	f.Leftovers = leftovers(scan.fd, entries)
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return f, err
		}
		if profile, ok := strings.CutPrefix(entry.Name(), slotPrefix); ok {
			f.Slots[policy.ProfileName(entry.Name())] = describeSlot(scan.fd, entry, profile)
		}
	}
	return f, nil
}

func absentOrUnreadable(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return policy.StatusMissing
	}
	return policy.StatusUnreadable
}

// manager names who supervises the container.
func (s *Source) manager(proc string, found svscan) string {
	overlay, err := os.Stat(orDefault(s.Overlay, "/run/s6/basedir"))
	switch {
	case commandName(proc, "1") == "s6-svscan" && err == nil && overlay.IsDir():
		return "s6-overlay"
	case found.Running:
		return "s6-svscan"
	}
	return "none"
}

func leftovers(scanfd int, entries []fs.DirEntry) []policy.Leftover {
	list := []policy.Leftover{}
	for _, entry := range entries {
		name := entry.Name()
		if !isStaging(name) && !isUpstreamStaging(name) || len(list) == maxLeftovers {
			continue
		}
		var st unix.Stat_t
		if unix.Fstatat(scanfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		age := max(0, time.Since(time.Unix(st.Mtim.Unix())))
		list = append(list, policy.Leftover{
			Name: policy.ProfileName(name), UID: int(st.Uid),
			Mode:       fmt.Sprintf("%04o", st.Mode&0o7777),
			AgeSeconds: int64(age / time.Second),
		})
	}
	return list
}

// A slotView is the fact about a slot while it is looked at.
type slotView struct {
	policy.Slot
	fd int
}

// describeSlot looks at an entry that has the name of a slot. It opens only a
// directory, and follows no link.
func describeSlot(scanfd int, entry fs.DirEntry, profile string) policy.Slot {
	v := slotView{Slot: policy.Slot{Profile: policy.ProfileName(profile), Kind: kindOf(entry.Type()), Status: policy.StatusRecorded}}
	if profile == policy.RootProfile {
		v.Profile = profile
	}
	if !entry.IsDir() {
		v.Status = policy.StatusInvalid
		return v.Slot
	}
	var err error
	if v.fd, err = openDirectory(scanfd, entry.Name()); err != nil {
		v.fail(err)
		return v.Slot
	}
	defer unix.Close(v.fd)
	who, err := originOf(v.fd)
	v.fail(err)
	v.Ours = who == originOurs
	v.DownFile, err = exists(v.fd, downName)
	v.fail(err)
	v.LoggerSupervised = v.held(logLock, logControl)
	v.Supervised = v.held(superviseLock, superviseControl)
	if v.Supervised != nil && *v.Supervised {
		v.describeService()
	}
	return v.Slot
}

// fail records an error, if there is one.
func (v *slotView) fail(err error) {
	if err != nil {
		v.Status, v.Error = policy.StatusUnreadable, err.Error()
	}
}

// held looks at a lock, or, when it may not be opened, whether a process reads the
// control FIFO; nil is unknown.
func (v *slotView) held(lock, control string) *bool {
	held, _, err := lockHolder(v.fd, lock)
	if err == nil {
		return &held
	}
	fd, openErr := openBeneath(v.fd, control, unix.O_WRONLY)
	switch {
	case openErr == nil:
		_ = unix.Close(fd)
		return new(true)
	case errors.Is(openErr, unix.ENXIO):
		return new(false)
	}
	v.fail(err)
	return nil
}

// describeService adds what a living supervisor wrote about its service.
func (v *slotView) describeService() {
	s, ok := statusOf(v.fd)
	if !ok {
		v.Status = policy.StatusInvalid
		return
	}
	v.Up, v.WantedUp = s.Up() && alive(s.PID), s.WantUp
	if v.Up {
		v.PID = s.PID
		v.StartTime = startTime(s.PID)
	}
	if !s.Stamp.IsZero() {
		v.SinceUnix = s.Stamp.Unix()
	}
	changed, _ := exists(v.fd, changedName)
	v.Changed = changed && v.Up
	v.describePause()
	data, err := readRegular(v.fd, superviseDeaths)
	if err != nil {
		return
	}
	if deaths, ok := decodeDeaths(data); ok && len(deaths) > 0 {
		v.Deaths = len(deaths)
		v.ExitCode, v.Signal = new(s.ExitCode()), s.Signal()
	}
}

// describePause adds until when the run script pauses before it becomes the gateway.
func (v *slotView) describePause() {
	if !v.Up || v.SinceUnix == 0 {
		return
	}
	text, err := readRegular(v.fd, pauseName)
	if err != nil {
		return
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	if err == nil && seconds > 0 && seconds <= policy.MaxHoldSeconds {
		v.WaitingUntilUnix = v.SinceUnix + int64(seconds)
	}
}

// alive reports whether a process runs. A supervisor whose file system is full leaves
// the pid of a dead process in its status, and a stopped supervisor does not reap it.
func alive(pid int) bool {
	if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return false
	}
	field := processFields(pid)
	return len(field) == 0 || field[0] != "Z" // it may be hidden from this user
}

// startTime is when a process started, in clock ticks since the kernel booted; 0 is
// unknown.
func startTime(pid int) int64 {
	const starttime = 22 - 3 // as proc(5) counts, from the state on
	field := processFields(pid)
	if len(field) <= starttime {
		return 0
	}
	ticks, _ := strconv.ParseInt(field[starttime], 10, 64)
	return ticks
}

// processFields returns the fields of /proc/PID/stat from the state on. The state
// follows the name, which may hold any character, also a parenthesis.
func processFields(pid int) []string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(stat[max(0, strings.LastIndexByte(string(stat), ')')+1):]))
}

func kindOf(t fs.FileMode) string {
	switch {
	case t.IsDir():
		return "directory"
	case t.IsRegular():
		return "file"
	case t&fs.ModeSymlink != 0:
		return "link"
	case t&fs.ModeNamedPipe != 0:
		return "fifo"
	case t&fs.ModeSocket != 0:
		return "socket"
	case t&fs.ModeDevice != 0:
		return "device"
	}
	return "unknown"
}
