package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"hermes-reconcile/policy"
)

// An Executor sweeps runtime files and seeds state files.
type Executor struct {
	Home *Home
	// Live means that gateways may be starting at this moment. A file that was replaced,
	// or whose gateway lives, is then left alone without an error.
	Live bool
}

// Execute carries out the sweeps and seeds of the plan and ignores the other operations.
// An interrupted run leaves at most a file under a dot name.
func (e *Executor) Execute(ctx context.Context, operations []policy.Operation, _ policy.ExecuteOptions) []policy.Result {
	var results []policy.Result
	for _, op := range operations {
		var do func(*directory, policy.Operation) (bool, error)
		switch op.Op {
		case policy.OpSweep:
			do = e.sweep
		case policy.OpSeed:
			do = e.seed
		default:
			continue
		}
		done := false
		err := e.Home.inProfile(ctx, op.Profile, op.File, func(dir *directory) (err error) {
			done, err = do(dir, op)
			return err
		})
		if err != nil {
			err = fmt.Errorf("%s %w", op.Op, err)
		}
		results = append(results, policy.Result{Operation: op, Done: done, Err: err})
	}
	return results
}

// sweep removes the very file that the facts saw: one of the profile, or a token lock below the
// home. A missing file is not an error; another file in its place is one.
func (e *Executor) sweep(dir *directory, op policy.Operation) (bool, error) {
	below := dir
	if files := policy.SweepableFiles(); policy.IsTokenLock(op.File) {
		below = e.Home.root
	} else if !slices.Contains(files, op.File) {
		return false, fmt.Errorf("%q is not a runtime file, have %s and token locks", op.File, strings.Join(files, ", "))
	}
	info, err := below.Lstat(op.File)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if info.IsDir() {
		return false, errors.New("it is a directory, want a file")
	}
	if op.Identity == "" || policy.Identity(info) != op.Identity {
		return false, e.unlessLive("it changed since the facts were collected")
	}
	held, err := dir.LockHeld(policy.GatewayLock)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("whether %s is held cannot be known: %w", policy.GatewayLock, unwrapPath(err))
	}
	if held {
		return false, e.unlessLive("a gateway holds " + policy.GatewayLock)
	}
	return below.remove(op.File)
}

// unlessLive returns an error, or nil when gateways may be starting at this moment.
func (e *Executor) unlessLive(why string) error {
	if e.Live {
		return nil
	}
	return errors.New(why)
}

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
	return err == nil, err
}
