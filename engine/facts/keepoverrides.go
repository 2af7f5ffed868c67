package facts

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
	"golang.org/x/sys/unix"

	"hermes-reconcile/policy"
)

// KeepOverrides adds overrides of the present start of the container to the list in the
// state directory, and drops those that have ended. It replaces the file as a whole, so
// that the fact "overrides" never sees half a list. The lock of the scan directory keeps
// two callers apart. An unreadable list is an error, because a new one would lose it.
func KeepOverrides(stateDir string, more []policy.Override) error {
	if stateDir == "" {
		return errors.New("there is nowhere to keep it: state_dir is empty")
	}
	path := filepath.Join(stateDir, policy.OverridesFile)
	all, err := readOverrides(path)
	if err != nil {
		return fmt.Errorf("%s: %w; remove the file to begin anew", path, err)
	}
	start, now := ContainerStart("/proc"), time.Now()
	for _, o := range more {
		o.Start = start
		all = append(all, o)
	}
	all = slices.DeleteFunc(all, func(o policy.Override) bool { return !o.Active(now, start) })
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return onlyRoot(err)
	}
	return onlyRoot(renameio.WriteFile(path, append(text, '\n'), 0o644, renameio.WithTempDir(stateDir), renameio.WithStaticPermissions(0o644)))
}

// maxOverrides bounds what is read of the list, in bytes.
const maxOverrides = 1 << 20

func readOverrides(path string) ([]policy.Override, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, policy.ErrNotRegular
	case info.Size() > maxOverrides:
		return nil, fmt.Errorf("it is larger than %d bytes", maxOverrides)
	}
	var all []policy.Override
	return all, json.NewDecoder(file).Decode(&all)
}

// onlyRoot adds to a permission error who may set a hold aside.
func onlyRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: only root, or the owner of the state directory, sets a hold of the operator's rules aside", err)
	}
	return err
}
