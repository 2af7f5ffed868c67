package s6

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// defaultPlaces is how many services s6-svscan holds without an option. A slot
// takes two places, one for its logger. Before s6 2.12 the number was 500 slots
// with a logger, which is the same; the generation need not be known.
const defaultPlaces = 1000

// overlayPlaces is how many places s6-overlay uses itself. They are always reserved:
// from s6 2.12 on, one slot too many makes s6-svscan abort the whole scan, and none of
// the new slots is supervised.
const overlayPlaces = 3

// Where a capacity comes from.
const (
	fromArguments = "svscan_arguments"
	fromDefault   = "default"
	fromOpenFiles = "open_files"
)

// detectCapacity reads the options of a running s6-svscan (-C places, or -c slots in
// older generations) and its limit of open files: a slot with a logger needs two, and
// s6-svscan itself fewer than 50. The entries of the scan directory take used places,
// and those that are not gateways take others of them.
func detectCapacity(proc string, s svscan, used, others int) policy.Capacity {
	c := policy.Capacity{Places: defaultPlaces, Used: used, Source: fromDefault}
	if s.Running && s.PID > 0 {
		if places, ok := placesOption(commandLine(proc, s.PID)); ok {
			c.Places, c.Source = places, fromArguments
		}
	}
	c.Gateways = max(0, c.Places-max(others, overlayPlaces)) / 2
	if s.Running && s.PID > 0 {
		if files, ok := openFilesLimit(proc, s.PID); ok {
			if byFiles := max(0, files-50-2*others) / 2; byFiles < c.Gateways {
				c.Gateways, c.Source = byFiles, fromOpenFiles
			}
		}
	}
	return c
}

// countPlaces counts the places that the services of a scan directory take, loggers
// included, and how many of them are not those of gateways.
func countPlaces(scanfd int, entries []fs.DirEntry) (used, others int) {
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || !entry.IsDir() && entry.Type()&fs.ModeSymlink == 0 {
			continue
		}
		places := 1
		var st unix.Stat_t
		if unix.Fstatat(scanfd, name+"/log", &st, 0) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			places = 2
		}
		used += places
		if !strings.HasPrefix(name, slotPrefix) {
			others += places
		}
	}
	return used, others
}

// commandLine returns the arguments of a process, nil when they cannot be read.
func commandLine(proc string, pid int) []string {
	data, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "cmdline"))
	if err != nil || len(data) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
}

// placesOption finds -C n, or -c n which counts slots with their loggers, among the
// arguments of s6-svscan; the last one counts.
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

// openFilesLimit reads the soft limit of open files of a process.
func openFilesLimit(proc string, pid int) (limit int, ok bool) {
	data, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "limits"))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(data)) {
		rest, found := strings.CutPrefix(line, "Max open files")
		if !found {
			continue
		}
		words := strings.Fields(rest)
		if len(words) == 0 {
			return 0, false
		}
		limit, err := strconv.Atoi(words[0]) // "unlimited" is none
		return limit, err == nil
	}
	return 0, false
}
