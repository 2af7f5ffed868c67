package volume

import (
	"errors"
	"io/fs"
	"time"

	"hermes-reconcile/policy"
)

// stateMode lets every user read the state file, as upstream does.
const stateMode = 0o644

// seededState is the state file as upstream writes it for a new profile.
type seededState struct {
	Gateway      string `json:"gateway_state"`
	Desired      string `json:"desired_state"`
	UpdatedAt    int64  `json:"updated_at"` // seconds since 1970
	MigratedFrom string `json:"migrated_from,omitempty"`
}

// seed writes a state file if the profile has none, and reports whether it did. An existing
// file of any kind stays.
func (e *Executor) seed(dir *directory, op policy.Operation) (bool, error) {
	if op.Seed == nil || (op.Seed.State != "running" && op.Seed.State != "stopped") {
		return false, errors.New(`it has no state, want "running" or "stopped"`)
	}
	err := dir.writeJSON(policy.StateFile, seededState{
		Gateway: op.Seed.State, Desired: op.Seed.State,
		UpdatedAt: time.Now().Unix(), MigratedFrom: op.Seed.MigratedFrom,
	}, renameNew)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, unwrapPath(err)
}
