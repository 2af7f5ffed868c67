package s6

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"hermes-reconcile/policy"
)

// Missing returns, sorted, the profiles that are decided to have a slot and have
// none: what Execute could not make, and what Plan left out (Alarms and the
// results say why). A boot log that called such a profile started would lie.
func (e *Executor) Missing(d policy.Decisions) ([]string, error) {
	if len(d.Skip) > 0 {
		return nil, nil
	}
	entries, err := os.ReadDir(e.ScanDir)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("read the scan directory: %w", err)
	}
	there := make(map[string]bool, len(entries))
	for _, entry := range entries {
		there[entry.Name()] = entry.IsDir()
	}
	for _, a := range e.alarms {
		if a.Code == alarmForeign || a.Code == alarmUnreadable {
			there[slotPrefix+a.Profile] = false // something is there, and it is no slot of ours
		}
	}
	var missing []string
	for _, profile := range slices.Sorted(maps.Keys(d.Profiles)) {
		if d.Profiles[profile].Action != policy.ActionSkip && !there[slotPrefix+profile] {
			missing = append(missing, profile)
		}
	}
	return missing, nil
}
