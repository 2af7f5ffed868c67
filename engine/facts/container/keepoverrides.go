package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"

	"hermes-reconcile/engine/facts/read"
	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
)

// KeepOverrides adds overrides of the present start of the container to the list in the
// state directory, and drops those that have ended. It replaces the file as a whole, so
// that the fact "overrides" never sees half a list. The lock of the scan directory keeps
// two callers apart. An unreadable list is an error, because a new one would lose it. So is
// a list or a directory that another user could have written.
func KeepOverrides(stateDir string, more []policy.Override) error {
	if stateDir == "" {
		return errors.New("there is nowhere to keep it: state_dir is empty")
	}
	if err := trust.MakeDirectory(stateDir, trust.Only(os.Geteuid())); err != nil {
		return onlyRoot(err)
	}
	path := filepath.Join(stateDir, policy.OverridesFile)
	all, err := readOverrides(path)
	if err != nil {
		return fmt.Errorf("%s: %w; remove the file to begin anew", path, err)
	}
	start, now := containerStart("/proc"), time.Now()
	for _, o := range more {
		o.Start = start
		all = append(all, o)
	}
	all = slices.DeleteFunc(all, func(o policy.Override) bool { return !o.Active(now, start) })
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return onlyRoot(renameio.WriteFile(path, append(text, '\n'), 0o644, renameio.WithTempDir(stateDir), renameio.WithStaticPermissions(0o644)))
}

func readOverrides(path string) (all []policy.Override, err error) {
	data, out := read.Trusted(path, os.Geteuid())
	switch out.Status {
	case policy.StatusMissing:
		return nil, nil
	case "":
		err = json.Unmarshal(data, &all)
		return all, err
	}
	return nil, errors.New(out.Error)
}

// onlyRoot adds to a permission error who may set a hold aside.
func onlyRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: only root, or the owner of the state directory, sets a hold of the operator's rules aside", err)
	}
	return err
}
