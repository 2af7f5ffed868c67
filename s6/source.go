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

// A Source finds out what is in a scan directory: who supervises, which slots
// there are and how they are, what interrupted runs left, and how many gateways
// fit. It only looks; a lock is never taken.
type Source struct {
	ScanDir string
	Proc    string // "/proc"
	Overlay string // "/run/s6/basedir", a directory under s6-overlay
}

// Name is the key of the fact in input.container.
func (s *Source) Name() string { return "s6" }

// Schema is the JSON Schema of what Collect returns.
func (s *Source) Schema() string { return schema }

// maxEntries bounds how much of a scan directory is looked at; s6-svscan itself
// holds a thousand services unless it is told otherwise.
const maxEntries = 1 << 16

// maxLeftovers bounds the list of leftovers.
const maxLeftovers = 256

type facts struct {
	Status    string              `json:"status"`
	Running   *bool               `json:"running,omitempty"` // absent: this user may not know
	SvscanPID int                 `json:"svscan_pid,omitempty"`
	Manager   string              `json:"manager"`
	ScanDir   scanDirFacts        `json:"scandir"`
	Slots     map[string]slotFact `json:"slots"`
	Leftovers []leftover          `json:"leftovers"`
	Capacity  capacity            `json:"capacity"`
}

type scanDirFacts struct {
	Path     string `json:"path"`
	Status   string `json:"status"`
	Error    string `json:"error,omitempty"`
	Writable bool   `json:"writable"`
	More     bool   `json:"more"`
}

type slotFact struct {
	Profile          string `json:"profile"`
	Kind             string `json:"kind"`
	Status           string `json:"status"`
	Error            string `json:"error,omitempty"`
	Ours             bool   `json:"ours"`
	DownFile         bool   `json:"down_file"`
	Supervised       *bool  `json:"supervised,omitempty"`
	LoggerSupervised *bool  `json:"logger_supervised,omitempty"`
	Up               bool   `json:"up"`
	PID              int    `json:"pid,omitempty"`
	StartTime        int64  `json:"start_time,omitempty"`
	WantedUp         bool   `json:"wanted_up"`
	SinceUnix        int64  `json:"since_unix,omitempty"`
	ExitCode         *int   `json:"exit_code,omitempty"`
	Signal           int    `json:"signal,omitempty"`
	Deaths           int    `json:"deaths"`
	Changed          bool   `json:"changed,omitempty"`
	WaitingUntilUnix int64  `json:"waiting_until_unix,omitempty"`
}

type leftover struct {
	Name       string `json:"name"`
	UID        int    `json:"uid"`
	Mode       string `json:"mode"`
	AgeSeconds int64  `json:"age_seconds"`
}

// Collect looks at the scan directory. It has no error: what cannot be read is
// part of the fact.
func (s *Source) Collect(ctx context.Context) (any, error) {
	proc := orDefault(s.Proc, "/proc")
	f := facts{
		Status:  policy.StatusRecorded,
		Manager: "none",
		ScanDir: scanDirFacts{Path: s.ScanDir, Status: policy.StatusRecorded},
		Slots:   map[string]slotFact{}, Leftovers: []leftover{},
	}
	scan, err := openScanDir(s.ScanDir)
	if err != nil {
		f.ScanDir.fail(err)
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
	entries := f.ScanDir.read(scan)
	used, others := countPlaces(scan.fd, entries)
	f.Capacity = detectCapacity(proc, found, used, others)
	f.Leftovers = leftovers(scan.fd, entries)
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if profile, ok := strings.CutPrefix(entry.Name(), slotPrefix); ok {
			f.Slots[policy.ProfileName(entry.Name())] = describeSlot(scan.fd, entry, profile)
		}
	}
	return f, nil
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

func (d *scanDirFacts) fail(err error) {
	d.Status, d.Error = policy.StatusUnreadable, err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		d.Status = policy.StatusMissing
	}
}

// read returns the entries in the order of their names.
func (d *scanDirFacts) read(scan *scanDir) []fs.DirEntry {
	entries, err := scan.dir.ReadDir(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		d.fail(err)
	}
	if len(entries) == maxEntries {
		d.More = true
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries
}

func leftovers(scanfd int, entries []fs.DirEntry) []leftover {
	list := []leftover{}
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
		list = append(list, leftover{
			Name: policy.ProfileName(name), UID: int(st.Uid),
			Mode:       fmt.Sprintf("%04o", st.Mode&0o7777),
			AgeSeconds: int64(age / time.Second),
		})
	}
	return list
}

// describeSlot looks at one entry that has the name of a slot. Only a directory
// is opened; a link is never followed.
func describeSlot(scanfd int, entry fs.DirEntry, profile string) slotFact {
	f := slotFact{Profile: policy.ProfileName(profile), Kind: kindOf(entry.Type()), Status: policy.StatusRecorded}
	if profile == policy.RootProfile {
		f.Profile = profile
	}
	if !entry.IsDir() {
		f.Status = policy.StatusInvalid
		return f
	}
	fd, err := openDirectory(scanfd, entry.Name())
	if err != nil {
		f.fail(err)
		return f
	}
	defer unix.Close(fd)
	if who, err := originOf(fd); err != nil {
		f.fail(err)
	} else {
		f.Ours = who == originOurs
	}
	if f.DownFile, err = exists(fd, downName); err != nil {
		f.fail(err)
	}
	f.LoggerSupervised = f.held(fd, logLock, logControl)
	f.Supervised = f.held(fd, superviseLock, superviseControl)
	if f.Supervised != nil && *f.Supervised {
		f.describeService(fd)
	}
	return f
}

func (f *slotFact) fail(err error) { f.Status, f.Error = policy.StatusUnreadable, err.Error() }

// held looks at a lock, or, where it may not be opened, at whether someone reads
// the control FIFO; nil is unknown.
func (f *slotFact) held(slotfd int, lock, control string) *bool {
	held, _, err := lockHolder(slotfd, lock)
	if err == nil {
		return &held
	}
	fd, openErr := openBeneath(slotfd, control, unix.O_WRONLY)
	switch {
	case openErr == nil:
		_ = unix.Close(fd)
		return new(true)
	case errors.Is(openErr, unix.ENXIO):
		return new(false)
	}
	f.fail(err)
	return nil
}

// describeService adds what a living supervisor wrote of its service.
func (f *slotFact) describeService(slotfd int) {
	s, ok := statusOf(slotfd)
	if !ok {
		f.Status = policy.StatusInvalid
		return
	}
	f.Up, f.WantedUp = s.Up() && alive(s.PID), s.WantUp
	if f.Up {
		f.PID = s.PID
		f.StartTime = startTime(s.PID)
	}
	if !s.Stamp.IsZero() {
		f.SinceUnix = s.Stamp.Unix()
	}
	f.Changed, _ = exists(slotfd, changedName)
	f.Changed = f.Changed && f.Up
	f.describePause(slotfd)
	data, err := readRegular(slotfd, superviseDeaths)
	if err != nil {
		return
	}
	if deaths, ok := decodeDeaths(data); ok && len(deaths) > 0 {
		f.Deaths = len(deaths)
		f.ExitCode, f.Signal = new(s.ExitCode()), s.Signal()
	}
}

// describePause adds until when the run script waits before it becomes the gateway.
func (f *slotFact) describePause(slotfd int) {
	if !f.Up || f.SinceUnix == 0 {
		return
	}
	text, err := readRegular(slotfd, pauseName)
	if err != nil {
		return
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	if err == nil && seconds > 0 && seconds <= policy.MaxHoldSeconds {
		f.WaitingUntilUnix = f.SinceUnix + int64(seconds)
	}
}

// alive reports whether a process runs: a supervisor whose file system is full
// leaves the pid of a dead one in its status, and one that is stopped does not even
// reap it.
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

// processFields are those of /proc/PID/stat from the state on. It follows the name,
// which may hold anything, also a parenthesis.
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
