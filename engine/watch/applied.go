package watch

import (
	"errors"
	"io/fs"
	"maps"
	"os"

	"hermes-reconcile/engine/reconcile"
	"hermes-reconcile/policy"
)

// An Applied is a decision about a profile that was carried out.
type Applied struct {
	Action policy.Action `json:"action"`
	Code   string        `json:"code"`
}

// readApplied returns the last applied decisions; nil when nobody has applied any since the
// container started.
func readApplied(dir string) (map[string]Applied, error) {
	applied, err := Read[map[string]Applied](dir, AppliedFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return applied, err
}

// KeepApplied adds what a pass carried out to the last applied decisions, so that a watch does
// not take it for new. It makes the directory.
func KeepApplied(dir string, r reconcile.Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	before, _ := readApplied(dir) // what cannot be read is written anew
	return saveApplied(dir, before, after(before, r, nil))
}

func saveApplied(dir string, before, now map[string]Applied) error {
	if before != nil && maps.Equal(before, now) {
		return nil
	}
	return Write(dir, AppliedFile, now)
}

// after returns the last applied decisions after a pass. Those of profiles that the pass left
// alone, and of those for which something failed, stay as they were.
func after(before map[string]Applied, r reconcile.Report, alone map[string]bool) map[string]Applied {
	now := map[string]Applied{}
	for name, a := range before {
		if _, exists := r.Input.Profiles[name]; exists || r.Uncertain() != "" {
			now[name] = a
		}
	}
	failed := map[string]bool{}
	for _, result := range r.Results {
		failed[result.Operation.Profile] = failed[result.Operation.Profile] || result.Err != nil
	}
	for name, d := range r.Decisions.Profiles {
		if _, exists := r.Input.Profiles[name]; exists && !d.Undecided && !alone[name] && !failed[name] {
			now[name] = Applied{d.Action, d.Code}
		}
	}
	return now
}
