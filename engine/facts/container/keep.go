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

	"hermes-reconcile/policy"
	"hermes-reconcile/policy/trust"
)

// KeepOverrides adds overrides of the present start of the container to the list in the
// state directory, and drops those that have ended. It returns the fact "overrides" as it is
// then. See keep.
func KeepOverrides(stateDir string, more []policy.Override, dryRun bool) (json.RawMessage, error) {
	c, start, now := kept(stateDir), containerStart("/proc"), time.Now()
	text, err := keep(c, policy.OverridesFile, dryRun, func(all *[]policy.Override) {
		for _, o := range more {
			o.Start = start
			*all = append(*all, o)
		}
		*all = slices.DeleteFunc(*all, func(o policy.Override) bool { return !o.Active(now, start) })
	})
	if err != nil {
		return nil, err
	}
	if dryRun {
		return json.Marshal(parseOverrides(text, now, start))
	}
	return json.Marshal(c.overrides())
}

// KeepPauses changes the pauses in the state directory. It returns the fact "pauses" as it is
// then. See keep.
func KeepPauses(stateDir string, change func(*policy.Pauses), dryRun bool) (json.RawMessage, error) {
	c := kept(stateDir)
	text, err := keep(c, policy.PausesFile, dryRun, func(all *policy.Pauses) {
		*all = all.At(c.Now())
		change(all)
	})
	if err != nil {
		return nil, err
	}
	if dryRun {
		return json.Marshal(c.parsePauses(text))
	}
	return json.Marshal(c.pauses())
}

func kept(stateDir string) Config { return Config{StateDir: stateDir, Proc: "/proc", Now: time.Now} }

// keep changes a file of the state directory and returns its text. It replaces the file as a
// whole, so that no fact ever sees a part of it. The lock of the scan directory keeps two
// callers apart. An unreadable file is an error, because a new one would lose it. So is a file
// or a directory that another user could have written. A dry run writes nothing.
func keep[T any](c Config, name string, dryRun bool, change func(*T)) ([]byte, error) {
	if c.StateDir == "" {
		return nil, errors.New("there is nowhere to keep it: state_dir is empty")
	}
	if !dryRun {
		if err := trust.MakeDirectory(c.StateDir, trust.Only(os.Geteuid())); err != nil {
			return nil, onlyRoot(err)
		}
	}
	path := filepath.Join(c.StateDir, name)
	var all T
	data, out := c.state(name)
	err := errors.New(out.Error)
	switch out.Status {
	case policy.StatusMissing:
		err = nil
	case "":
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove the file to begin anew", path, err)
	}
	change(&all)
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil || dryRun {
		return text, err
	}
	return text, onlyRoot(renameio.WriteFile(path, append(text, '\n'), 0o644, renameio.WithTempDir(c.StateDir), renameio.WithStaticPermissions(0o644)))
}

// onlyRoot adds to a permission error who may decide what root starts.
func onlyRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: only root, or the owner of the state directory, sets a hold of the operator's rules aside, pauses and resumes", err)
	}
	return err
}
