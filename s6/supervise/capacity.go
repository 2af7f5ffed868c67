package supervise

import (
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/beneath"
)

// defaultPlaces is how many services s6-svscan holds without an option. A service with
// a logger takes two places. Before s6 2.12 the number was 500 services with a logger,
// which is the same, so the generation does not matter.
const defaultPlaces = 1000

// overlayPlaces is how many places s6-overlay uses itself. They are always reserved:
// from s6 2.12 on, one slot too many makes s6-svscan abort the whole scan, and none of
// the new slots is supervised.
const overlayPlaces = 3

// Where a capacity comes from.
const (
	FromArguments = "svscan_arguments"
	FromDefault   = "default"
	FromOpenFiles = "open_files"
)

// Capacity finds out how many gateways with a logger fit. It reads the options of a
// running s6-svscan (-C places, or -c services in older generations) and its limit of
// open files: a service with a logger needs two, and s6-svscan itself fewer than 50. The
// entries of the scan directory take used places, and entries that are not gateways take
// others of them.
func Capacity(s Scanner, used, others int) policy.Capacity {
	return capacity("/proc", s, used, others)
}

func capacity(proc string, s Scanner, used, others int) policy.Capacity {
	c := policy.Capacity{Places: defaultPlaces, Used: used, Source: FromDefault}
	known := s.Running && s.PID > 0
	if known {
		argv := strings.Split(strings.TrimSuffix(readProc(proc, s.PID, "cmdline"), "\x00"), "\x00")
		if places, ok := placesOption(argv); ok {
			c.Places, c.Source = places, FromArguments
		}
	}
	c.Gateways = max(0, c.Places-max(others, overlayPlaces)) / 2
	if files, ok := openFilesLimit(readProc(proc, s.PID, "limits")); known && ok {
		if byFiles := max(0, files-50-2*others) / 2; byFiles < c.Gateways {
			c.Gateways, c.Source = byFiles, FromOpenFiles
		}
	}
	return c
}

// Places returns how many places an entry of a scan directory takes.
func Places(scan beneath.Dir, entry fs.DirEntry) int {
	if strings.HasPrefix(entry.Name(), ".") || !entry.IsDir() && entry.Type()&fs.ModeSymlink == 0 {
		return 0
	}
	var st unix.Stat_t
	if unix.Fstatat(int(scan), entry.Name()+"/log", &st, 0) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return 2
	}
	return 1
}

// placesOption finds -C n, or -c n which counts services with their loggers, among the
// arguments of s6-svscan; the last one wins.
func placesOption(argv []string) (places int, ok bool) {
	for i, arg := range argv {
		if arg == "--" {
			break
		}
		value, isPlaces := strings.CutPrefix(arg, "-C")
		value, isSlots := strings.CutPrefix(value, "-c")
		if !isPlaces && !isSlots {
			continue
		}
		if value == "" && i+1 < len(argv) {
			value = argv[i+1]
		}
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 || n > 1<<20 {
			continue
		}
		if isSlots {
			n *= 2
		}
		places, ok = n, true
	}
	return places, ok
}

var openFiles = policy.Pattern(`(?m)^Max open files +(\d+) `)

// openFilesLimit finds the soft limit of open files in the limits of a process; ok is
// false without one.
func openFilesLimit(limits string) (limit int, ok bool) {
	found := openFiles().FindStringSubmatch(limits)
	if found == nil {
		return 0, false
	}
	limit, err := strconv.Atoi(found[1])
	return limit, err == nil
}
