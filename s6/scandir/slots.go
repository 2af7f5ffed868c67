package scandir

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
	"hermes-reconcile/policy/beneath"
	"hermes-reconcile/s6/scripts"
	"hermes-reconcile/s6/supervise"
)

// Schema is the JSON Schema of what Slots returns.
//
//go:embed schema.json
var Schema string

// MaxEntries bounds how many entries of a scan directory are read; s6-svscan itself
// holds a thousand services unless an option changes that.
const MaxEntries = 1 << 16

const maxLeftovers = 256

// Slots finds out what is in the scan directory: who supervises it, its slots and their
// state, what interrupted runs left, and how many gateways fit. It takes no lock. Something
// that cannot be read is part of the answer; the status is policy.StatusFailed when ctx ends
// before.
func Slots(ctx context.Context, path string) policy.Slots {
	f := policy.Slots{
		Status:  policy.StatusRecorded,
		ScanDir: policy.ScanDir{Path: path, Status: policy.StatusRecorded},
		Slots:   map[string]policy.Slot{}, Leftovers: []policy.Leftover{},
	}
	scan, err := Open(path)
	if err != nil {
		f.ScanDir.Status, f.ScanDir.Error = absentOrUnreadable(err), err.Error()
		f.Status = f.ScanDir.Status
		f.Manager = manager(supervise.Scanner{})
		f.Capacity = supervise.Capacity(supervise.Scanner{}, 0, 0)
		return f
	}
	defer scan.Close()
	found := scan.Scanner()
	if found.Known {
		f.Running = &found.Running
	}
	f.SvscanPID, f.Manager = found.PID, manager(found)
	f.ScanDir.Writable = unix.Faccessat(int(scan.Dir), ".", unix.W_OK, unix.AT_EACCESS) == nil
	entries, err := scan.File.ReadDir(MaxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		f.ScanDir.Status, f.ScanDir.Error = absentOrUnreadable(err), err.Error()
	}
	f.ScanDir.More = len(entries) == MaxEntries
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	f.Capacity = scan.Capacity(found, entries)
	for _, entry := range entries {
		if ctx.Err() != nil {
			return policy.Slots{Status: policy.StatusFailed}
		}
		name := entry.Name()
		switch {
		case strings.HasPrefix(name, policy.SlotPrefix):
			f.Slots[policy.ProfileName(name)] = slotFact(scan.Dir, entry)
		case name == policy.WatchSlot:
			f.Watch = new(slotFact(scan.Dir, entry))
		case (IsStaging(name) || isUpstreamStaging(name)) && len(f.Leftovers) < maxLeftovers:
			f.Leftovers = appendLeftover(f.Leftovers, scan.Dir, name)
		}
	}
	return f
}

func absentOrUnreadable(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return policy.StatusMissing
	}
	return policy.StatusUnreadable
}

// manager names who supervises the container.
func manager(found supervise.Scanner) string {
	overlay, err := os.Stat("/run/s6/basedir")
	switch {
	case err == nil && overlay.IsDir() && supervise.IsFirst():
		return "s6-overlay"
	case found.Running:
		return "s6-svscan"
	}
	return "none"
}

func appendLeftover(list []policy.Leftover, scan beneath.Dir, name string) []policy.Leftover {
	st, err := scan.Lstat(name)
	if err != nil {
		return list
	}
	age := max(0, time.Since(time.Unix(st.Mtim.Unix())))
	return append(list, policy.Leftover{
		Name: policy.ProfileName(name), UID: int(st.Uid),
		Mode:       fmt.Sprintf("%04o", st.Mode&0o7777),
		AgeSeconds: int64(age / time.Second),
	})
}

// A slotView is the fact about a slot while it is looked at.
type slotView struct {
	policy.Slot
	dir beneath.Dir
}

// slotFact looks at an entry that has the name of a slot. It opens only a directory, and
// follows no link.
func slotFact(scan beneath.Dir, entry fs.DirEntry) policy.Slot {
	profile := strings.TrimPrefix(entry.Name(), policy.SlotPrefix)
	v := slotView{Slot: policy.Slot{Profile: policy.ProfileName(profile), Kind: KindOf(entry.Type()), Status: policy.StatusRecorded}}
	if profile == policy.RootProfile {
		v.Profile = profile
	}
	if !entry.IsDir() {
		v.Status = policy.StatusInvalid
		return v.Slot
	}
	var err error
	if v.dir, err = scan.OpenDir(entry.Name()); err != nil {
		v.fail(err)
		return v.Slot
	}
	defer v.dir.Close()
	v.Ours, _, err = madeBy(v.dir)
	v.fail(err)
	v.DownFile, err = v.dir.Exists(DownName)
	v.fail(err)
	v.LoggerSupervised = v.runs(supervise.Logger)
	v.Supervised = v.runs(supervise.Service)
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

// runs reports whether a supervisor lives; nil is unknown.
func (v *slotView) runs(p supervise.Process) *bool {
	runs, _, err := p.Runs(v.dir)
	if err != nil {
		v.fail(err)
		return nil
	}
	return &runs
}

// describeService adds what a living supervisor wrote about its service.
func (v *slotView) describeService() {
	s, ok := supervise.ReadStatus(v.dir)
	if !ok {
		v.Status = policy.StatusInvalid
		return
	}
	v.WantedUp = s.WantUp
	if !s.Stamp.IsZero() {
		v.SinceUnix = s.Stamp.Unix()
	}
	if s.Up() {
		v.Up, v.StartTime = supervise.Alive(s.PID)
	}
	if v.Up {
		v.PID = s.PID
		v.Changed, _ = v.dir.Exists(scripts.ChangedName)
		v.WaitingUntilUnix = v.pauseEnd()
	}
	deaths := supervise.ReadDeaths(v.dir)
	v.RecentDeaths = deaths.Within(recent)
	seen := v.Up || !s.Up() // else it has just ended, and the supervisor has the end before that one
	if v.Deaths = deaths.Count; v.Deaths > 0 && seen {
		v.ExitCode, v.Signal = new(s.ExitCode()), s.Signal()
	}
}

// recent is how far back policy.Slot.RecentDeaths goes.
const recent = 10 * time.Minute

// pauseEnd is when the run script becomes the gateway, in seconds since 1970; 0 when it
// does not pause.
func (v *slotView) pauseEnd() int64 {
	text, _ := v.dir.Read(scripts.PauseName)
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	if err != nil || v.SinceUnix == 0 || !(seconds > 0 && seconds <= policy.MaxHoldSeconds) {
		return 0
	}
	return v.SinceUnix + int64(seconds)
}

var kinds = map[fs.FileMode]string{
	fs.ModeDir: "directory", 0: "file", fs.ModeSymlink: "link", fs.ModeNamedPipe: "fifo", fs.ModeSocket: "socket",
	fs.ModeDevice: "device", fs.ModeDevice | fs.ModeCharDevice: "device",
}

func KindOf(t fs.FileMode) string { return cmp.Or(kinds[t.Type()], "unknown") }
