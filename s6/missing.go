package s6

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"hermes-reconcile/policy"
)

// Missing returns, sorted, the profiles that are decided to have a slot and have
// none after p was carried out: those that Plan left out (the alarms of p have the
// reason) and those that Execute could not make (its results have it).
func (e *Executor) Missing(d policy.Decisions, p policy.Plan) ([]string, error) {
	if len(d.Skip) > 0 {
		return nil, nil
	}
	entries, err := os.ReadDir(e.ScanDir)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("read the scan directory: %w", err)
	}
	exists := make(map[string]bool, len(entries))
	for _, entry := range entries {
		exists[entry.Name()] = entry.IsDir()
	}
	for _, a := range p.Alarms {
		if a.Code == alarmForeign || a.Code == alarmUnreadable {
			exists[policy.SlotName(a.Profile)] = false // the directory is not a slot of ours
		}
	}
	var missing []string
	for _, profile := range slices.Sorted(maps.Keys(d.Profiles)) {
		if d.Profiles[profile].Action != policy.ActionSkip && !exists[policy.SlotName(profile)] {
			missing = append(missing, profile)
		}
	}
	return missing, nil
}
