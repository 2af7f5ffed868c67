package scandir

import (
	"os"
	"path/filepath"
	"strings"

	"hermes-reconcile/policy"
	"hermes-reconcile/s6/supervise"
)

// EventDirs returns the directories in which a file changes when a slot comes or goes, or when
// a gateway comes up, ends or is stopped: the scan directory, and of each slot the directory
// in which its supervisor renames a new status into place. Some need not exist.
func EventDirs(scanDir string) []string {
	dirs := []string{scanDir}
	file, err := os.Open(scanDir)
	if err != nil {
		return dirs
	}
	defer file.Close()
	entries, _ := file.ReadDir(MaxEntries) // those before an error
	for _, entry := range entries {
		if entry.IsDir() && strings.HasPrefix(entry.Name(), policy.SlotPrefix) {
			dirs = append(dirs, filepath.Join(scanDir, entry.Name(), superviseDir))
		}
	}
	return dirs
}

// EventProfile returns the profile that a changed path of EventDirs is about, "" for the scan
// directory itself. means is false when the change tells nothing about slots and gateways.
func EventProfile(scanDir, path string) (profile string, means bool) {
	name, err := filepath.Rel(scanDir, path)
	slot, file, isBelow := strings.Cut(name, "/")
	switch {
	case err != nil:
		return "", false
	case !isBelow:
		return "", name == "." || !strings.HasPrefix(name, ".")
	}
	profile, means = strings.CutPrefix(slot, policy.SlotPrefix)
	return profile, means && (file == supervise.StatusFile || file == superviseDir || file == DownName)
}

const superviseDir = "supervise"
